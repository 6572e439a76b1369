"""Thresholds and the figures of an evaluation."""

import numpy as np
import pytest

from data.task import Task
from model.accuracy import measure_accuracy
from model.calibrate import Thresholds, choose_thresholds, softmax


def test_one_per_cent_of_real_signs_is_not_recognised() -> None:
    probability = np.linspace(0.0, 1.0, 1001)
    thresholds = choose_thresholds(probability, np.ones(1001, bool))
    assert np.mean(probability < thresholds.recognised) == pytest.approx(0.01, abs=0.001)


def test_confident_answers_are_wrong_once_in_a_thousand_at_most() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.3, 1.0, 20_000)
    correct = rng.uniform(size=20_000) < probability**0.1
    thresholds = choose_thresholds(probability, correct)
    confident = probability >= thresholds.confident
    assert np.mean(~correct[confident]) <= 0.001
    assert confident.any()


def test_some_right_answers_are_unsure_however_good_the_classifier() -> None:
    probability = np.linspace(0.0, 1.0, 1001)
    thresholds = choose_thresholds(probability, np.ones(1001, bool))
    assert np.mean(probability >= thresholds.confident) == pytest.approx(0.95, abs=0.001)


def test_a_classifier_that_is_always_wrong_is_never_confident() -> None:
    thresholds = choose_thresholds(np.array([0.9, 0.99]), np.zeros(2, bool))
    assert thresholds.verdict(1.0) != "confident"


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.1, "not_recognised"), (0.5, "unsure"), (0.89, "unsure"), (0.9, "confident"), (1.0, "confident")],
)
def test_verdict_follows_the_limits(probability: float, verdict: str) -> None:
    assert Thresholds(recognised=0.5, confident=0.9).verdict(probability) == verdict


def test_softmax_of_large_logits_is_finite() -> None:
    probabilities = softmax(np.array([[1e4, 0.0], [0.0, 0.0]], np.float32))
    assert np.allclose(probabilities, np.array([[1.0, 0.0], [0.5, 0.5]]))


def test_interval_is_wider_when_errors_share_a_track(task: Task) -> None:
    """Thirty errors on one sign say less than thirty on thirty signs."""
    truth = np.zeros(3000, np.int64)
    groups = np.repeat(np.arange(100).astype(str), 30)
    together, apart = truth.copy(), truth.copy()
    together[:30] = 1
    apart[::100] = 1
    width = [
        np.diff(measure_accuracy(predicted, truth, groups, task.labels).interval)[0] for predicted in (together, apart)
    ]
    assert width[0] > 2 * width[1]


def test_evaluation_counts_errors_by_class(task: Task) -> None:
    truth = np.array([0, 0, 1, 2])
    evaluation = measure_accuracy(np.array([0, 1, 1, 2]), truth, np.array(["a", "a", "b", "c"]), task.labels)
    assert (evaluation.examples, evaluation.groups, evaluation.errors, evaluation.accuracy) == (4, 3, 1, 0.75)
    assert evaluation.per_class[0] == {"class_index": 0, "examples": 2, "errors": 1}
    assert evaluation.interval[0] <= 0.75 <= evaluation.interval[1]
