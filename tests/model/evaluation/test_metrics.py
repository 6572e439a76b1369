"""Metrics, compared with values counted by hand."""

import numpy as np
import pytest

from data.task import Task
from model.evaluation.metrics import (
    auroc,
    compute_accuracy,
    confusions,
    expected_calibration_error,
    f1_scores,
    refusal_rate,
    selective_error,
)

RNG = np.random.default_rng(0)


def test_interval_is_wider_if_the_errors_are_in_one_group(task: Task) -> None:
    """Thirty errors in one group are weaker evidence than thirty errors in thirty groups."""
    truth = np.zeros(3000, np.int64)
    groups = np.repeat(np.arange(100).astype(str), 30)
    together, apart = truth.copy(), truth.copy()
    together[:30] = 1
    apart[::100] = 1
    width = [
        np.diff(compute_accuracy(predicted, truth, groups, task.labels).interval)[0] for predicted in (together, apart)
    ]
    assert width[0] > 2 * width[1]


def test_accuracy_counts_errors_by_class(task: Task) -> None:
    truth = np.array([0, 0, 1, 2])
    accuracy = compute_accuracy(np.array([0, 1, 1, 2]), truth, np.array(["a", "a", "b", "c"]), task.labels)
    assert (accuracy.examples, accuracy.groups, accuracy.errors, accuracy.accuracy) == (4, 3, 1, 0.75)
    assert accuracy.per_class[0] == {"class_index": 0, "examples": 2, "errors": 1}
    assert accuracy.interval[0] <= 0.75 <= accuracy.interval[1]


def test_calibrated_predictions_have_almost_no_calibration_error() -> None:
    probability = RNG.uniform(0.2, 1, 100_000)
    assert expected_calibration_error(probability, RNG.random(100_000) < probability) < 0.01


def test_calibration_error_of_overconfident_predictions_is_the_gap() -> None:
    correct = np.arange(1500) % 5 < 3
    assert expected_calibration_error(np.full(1500, 0.9), correct) == pytest.approx(0.3, abs=0.01)


def test_selective_error_uses_the_highest_scores() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.1])
    correct = np.array([True, True, True, False])
    assert selective_error(score, correct, 0.75) == 0
    assert selective_error(score, correct, 1.0) == 0.25


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auroc_counts_pairs_and_ties_by_half(dtype: type[np.floating]) -> None:
    inliers, outliers = (RNG.integers(3, 10, 300) / 10).astype(dtype), (RNG.integers(0, 7, 200) / 10).astype(dtype)
    pairs = np.sign(inliers[:, None] - outliers[None, :])
    assert auroc(inliers, outliers) == pytest.approx((pairs.mean() + 1) / 2, abs=1e-12)


def test_rejection_rate_at_a_share_of_accepted_inliers() -> None:
    inliers, outliers = np.linspace(0, 1, 101), np.array([-1.0, 0.005, 0.5, 0.9])
    assert refusal_rate(inliers, outliers, 0.99) == 0.5
    assert refusal_rate(inliers, outliers, 1.0) == 0.25


def test_f1_scores_are_nan_for_classes_without_examples() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 3, 0])
    # 2 · hits / (examples + predictions); class 3 is predicted once but has no examples, class 4 has neither.
    expected = [4 / 6, 2 / 4, 0, np.nan, np.nan]
    assert f1_scores(predicted, truth, 5) == pytest.approx(expected, nan_ok=True)


def test_confusions_are_counted_by_pair_with_the_most_frequent_first() -> None:
    truth, predicted = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 2, 1, 0])
    assert confusions(predicted, truth) == [
        {"class_index": 1, "predicted": 2, "count": 2},
        {"class_index": 0, "predicted": 1, "count": 1},
        {"class_index": 2, "predicted": 0, "count": 1},
    ]
    assert confusions(truth, truth) == []
