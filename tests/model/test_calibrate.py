"""Temperature, verdict thresholds and verdicts."""

import numpy as np
import numpy.typing as npt
import pytest

from model.calibrate import Calibration, choose_calibration, choose_temperature, energy_score, softmax
from model.evaluation.metrics import expected_calibration_error

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def answers() -> Arrays:
    """Logits, similarities and truth of 20,000 examples whose true probabilities are the softmax of the logits."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (20_000, 5)).astype(np.float32)
    logits[np.arange(20_000), rng.integers(0, 5, 20_000)] += rng.uniform(0, 15, 20_000)
    truth = np.array([rng.choice(5, p=p / p.sum()) for p in softmax(logits).astype(np.float64)])
    return logits, rng.uniform(0, 1, 20_000), truth


def test_temperature_corrects_overconfident_and_underconfident_logits(answers: Arrays) -> None:
    logits, _, truth = answers
    for factor in (0.4, 1.0, 3.0):
        assert choose_temperature(logits * factor, truth) == pytest.approx(factor, rel=0.05)


def test_calibrated_probabilities_match_the_accuracy(answers: Arrays) -> None:
    logits, similarity, truth = answers
    calibration = choose_calibration(choose_temperature(logits * 3, truth), logits * 3, similarity, truth)
    probability = calibration.probabilities(logits * 3)
    correct = probability.argmax(axis=1) == truth
    assert expected_calibration_error(probability.max(axis=1), correct) < 0.01
    assert expected_calibration_error(softmax(logits * 3).max(axis=1), correct) > 0.02


def test_one_per_cent_of_in_class_examples_is_not_recognised(answers: Arrays) -> None:
    logits, similarity, truth = answers
    calibration = choose_calibration(1.0, logits, similarity, truth)
    recognised = calibration.recognised(softmax(logits).max(axis=1), energy_score(logits), similarity)
    assert np.mean(recognised) == pytest.approx(0.99, abs=0.001)
    assert np.mean(similarity >= calibration.similarity) == pytest.approx(0.998, abs=0.0005)


def test_at_most_one_confident_prediction_in_a_thousand_is_wrong(answers: Arrays) -> None:
    logits, similarity, truth = answers
    calibration = choose_calibration(1.0, logits, similarity, truth)
    confident = softmax(logits).max(axis=1) >= calibration.confident
    assert np.mean(logits.argmax(axis=1)[confident] != truth[confident]) <= 0.001
    assert confident.any()


def test_five_per_cent_are_unsure_even_without_errors(answers: Arrays) -> None:
    logits, similarity, _ = answers
    calibration = choose_calibration(1.0, logits, similarity, logits.argmax(axis=1))
    assert np.mean(softmax(logits).max(axis=1) >= calibration.confident) == pytest.approx(0.95, abs=0.001)


def test_a_classifier_that_is_always_wrong_is_never_confident(answers: Arrays) -> None:
    logits, similarity, _ = answers
    calibration = choose_calibration(1.0, logits, similarity, (logits.argmax(axis=1) + 1) % 5)
    assert calibration.verdict(1.0, np.inf, 1.0) == "unsure"


def test_thresholds_from_few_examples_are_finite(answers: Arrays) -> None:
    logits, similarity, truth = answers
    calibration = choose_calibration(1.0, logits[:20], similarity[:20], truth[:20])
    assert np.isfinite([calibration.probability, calibration.similarity, calibration.confident]).all()


def test_an_error_at_the_highest_probability_does_not_raise_the_confident_error_rate() -> None:
    logits = np.stack([np.linspace(1, 8, 1000), np.zeros(1000)], axis=1).astype(np.float32)
    truth = np.zeros(1000, np.int64)
    truth[-1] = 1
    calibration = choose_calibration(1.0, logits, np.linspace(0, 1, 1000), truth)
    confident = softmax(logits).max(axis=1) >= calibration.confident
    assert np.sum(truth[confident]) <= 0.001 * np.sum(confident)


def test_predictions_of_equal_probability_have_the_same_verdict() -> None:
    logits = np.stack([np.full(1000, 60), np.zeros(1000)], axis=1).astype(np.float32)
    truth = np.zeros(1000, np.int64)
    truth[-10:] = 1
    calibration = choose_calibration(1.0, logits, np.linspace(0, 1, 1000), truth)
    assert calibration.verdict(1.0, np.inf, 1.0) == "unsure"


def test_few_classes_do_not_hide_outliers_whose_classes_are_equally_probable() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    level = rng.normal(0, 3, (2000, 1))  # which training leaves open
    logits = (level + np.eye(2)[truth] * 6 + rng.normal(0, 0.5, (2000, 2))).astype(np.float32)
    outliers = (level + rng.normal(0, 0.2, (2000, 2))).astype(np.float32)
    calibration = choose_calibration(1.0, logits, np.ones(2000), truth)
    refused = np.logical_not(
        calibration.recognised(softmax(outliers).max(axis=1), energy_score(outliers), np.ones(2000))
    )
    assert np.mean(refused) > 0.99


@pytest.mark.parametrize(
    ("probability", "energy", "similarity", "verdict"),
    [
        (0.49, 4.0, 0.5, "not_recognised"),
        (0.99, 4.0, 0.5, "confident"),
        (0.90, 3.0, 0.2, "confident"),
        (0.89, 4.0, 0.5, "unsure"),
        (0.99, 2.9, 0.5, "not_recognised"),
        (0.99, 4.0, 0.1, "not_recognised"),
    ],
)
def test_verdict_depends_on_the_thresholds(probability: float, energy: float, similarity: float, verdict: str) -> None:
    calibration = Calibration(1.0, similarity=0.2, confident=0.9, probability=0.5, energy=3.0)
    assert calibration.verdict(probability, energy, similarity) == verdict


def test_softmax_and_energy_of_large_logits_are_finite() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 0.0]], np.float32)
    assert np.allclose(softmax(logits), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert np.allclose(energy_score(logits), [1e4, np.log(2)])
