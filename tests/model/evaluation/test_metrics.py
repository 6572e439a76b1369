"""The figures, compared with what can be counted by hand or with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from model.evaluation.metrics import auroc, confusions, expected_calibration_error, f1_scores, refused, selective_error

RNG = np.random.default_rng(0)


def test_calibration_error_of_calibrated_answers_is_nearly_nil() -> None:
    probability = RNG.uniform(0.2, 1, 100_000)
    assert expected_calibration_error(probability, RNG.random(100_000) < probability) < 0.01


def test_calibration_error_of_boastful_answers_is_the_gap() -> None:
    correct = np.arange(1500) % 5 < 3
    assert expected_calibration_error(np.full(1500, 0.9), correct) == pytest.approx(0.3, abs=0.01)


def test_selective_error_looks_at_the_highest_scores_only() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.1])
    correct = np.array([True, True, True, False])
    assert selective_error(score, correct, 0.75) == 0
    assert selective_error(score, correct, 1.0) == 0.25


def test_auroc_agrees_with_scikit_learn_ties_included() -> None:
    inliers, outliers = RNG.integers(3, 10, 300) / 10, RNG.integers(0, 7, 200) / 10
    truth = np.repeat([1, 0], [300, 200])
    assert auroc(inliers, outliers) == pytest.approx(roc_auc_score(truth, np.concatenate([inliers, outliers])))


def test_refused_share_at_a_share_of_accepted_signs() -> None:
    inliers, outliers = np.linspace(0, 1, 101), np.array([-1.0, 0.005, 0.5, 0.9])
    assert refused(inliers, outliers, 0.99) == 0.5
    assert refused(inliers, outliers, 1.0) == 0.25


def test_f1_scores_agree_with_scikit_learn() -> None:
    truth, predicted = RNG.integers(0, 5, 200), RNG.integers(0, 5, 200)
    ours = f1_scores(predicted, truth, 6)
    assert ours[:5] == pytest.approx(f1_score(truth, predicted, average=None))
    assert np.isnan(ours[5])


def test_confusions_are_counted_by_pair_and_the_most_frequent_comes_first() -> None:
    truth, predicted = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 2, 1, 0])
    assert confusions(predicted, truth) == [
        {"class_index": 1, "predicted": 2, "count": 2},
        {"class_index": 0, "predicted": 1, "count": 1},
        {"class_index": 2, "predicted": 0, "count": 1},
    ]
    assert confusions(truth, truth) == []
