"""Calibrated probabilities, and the thresholds between the verdicts confident, unsure and not recognised."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["confident", "unsure", "not_recognised"]
Floats = npt.NDArray[np.floating]

ACCEPTED = 0.99  # share of in-class examples that both rejection thresholds together accept
ACCEPTED_BY_SIMILARITY = 0.998  # share of in-class examples that the similarity threshold alone accepts
MAX_CONFIDENT = 0.95  # largest share of in-class examples called "confident"; the others leave room for doubt
MAX_CONFIDENT_ERROR = 0.001  # largest error rate among the confident predictions
UNREACHABLE = 2.0  # a threshold that no probability reaches
TEMPERATURES = np.geomspace(0.1, 10.0, 401)


@dataclass(frozen=True)
class Calibration:
    """Temperature and verdict thresholds of a classifier.

    A prediction is "not_recognised" if one of its scores is below the threshold. Otherwise it is "confident" or
    "unsure", depending on its probability.

    Attributes:
        temperature: divisor of the logits (Guo et al. 2017), greater than 0.
        similarity: smallest accepted similarity to the training examples, in [-1, 1].
        confident: smallest probability called "confident"; greater than 1 if no prediction is.
        probability: smallest accepted probability, in [0, 1].
        energy: smallest accepted energy score; None in artifacts for which `choose_calibration` chose a probability.
    """

    temperature: float
    similarity: float
    confident: float
    probability: float = 0.0
    energy: float | None = None

    def probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return calibrated probabilities for logits, both of shape (…, classes) and float32."""
        return softmax(logits / self.temperature)

    def recognised(
        self, probability: float | Floats, energy: float | Floats, similarity: float | Floats
    ) -> bool | npt.NDArray[np.bool_]:
        """Return whether the verdict on a prediction is not "not_recognised"; takes arrays too. See `verdict`."""
        accepted = (probability >= self.probability) & (similarity >= self.similarity)
        return accepted if self.energy is None else accepted & (energy >= self.energy)

    def verdict(self, probability: float, energy: float, similarity: float) -> Verdict:
        """Return the verdict on a prediction.

        Args:
            probability: calibrated probability of the most probable class, in [0, 1].
            energy: energy score of the logits.
            similarity: similarity to the training examples, in [-1, 1].
        """
        if not self.recognised(probability, energy, similarity):
            return "not_recognised"
        return "confident" if probability >= self.confident else "unsure"


UNCALIBRATED = Calibration(temperature=1.0, similarity=-np.inf, confident=UNREACHABLE)


def choose_temperature(logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> float:
    """Return the temperature of maximum likelihood, from a grid with steps of about 1%.

    Args:
        logits: shape (n, classes), of held-out examples. Include mildly corrupted ones: clean examples alone have
            too few errors to estimate the temperature.
        truth: class indices, shape (n,).
    """
    rows = np.arange(len(truth))
    losses = [-np.log(np.maximum(softmax(logits / t)[rows, truth], 1e-12)).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[np.argmin(losses)])


def choose_calibration(
    temperature: float, logits: npt.NDArray[np.float32], similarity: Floats, truth: npt.NDArray[np.int64]
) -> Calibration:
    """Choose the thresholds from predictions for held-out examples.

    The similarity threshold accepts a share `ACCEPTED_BY_SIMILARITY` of the examples; that of the probability is set so
    that both together accept a share `ACCEPTED`. `confident` is the lowest probability at which at most
    `MAX_CONFIDENT` of the examples are confident and at most `MAX_CONFIDENT_ERROR` of those are wrong.

    Args:
        temperature: divisor of the logits.
        logits: shape (n, classes).
        similarity: shape (n,).
        truth: class indices, shape (n,).
    """
    least_similarity = float(np.quantile(similarity, 1 - ACCEPTED_BY_SIMILARITY))
    probability = softmax(logits / temperature).max(axis=1)
    similar = similarity >= least_similarity
    rejected = int((1 - ACCEPTED) * len(probability)) - int(np.sum(~similar))
    least_probability = np.sort(probability[similar])[max(rejected, 0)]
    order = np.argsort(-probability, kind="stable")
    error = np.cumsum(logits.argmax(axis=1)[order] != truth[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(probability[order]) < 0, True)  # a threshold cannot separate equal probabilities
    most = max(1, int(MAX_CONFIDENT * len(order)))
    accurate = np.flatnonzero((error[:most] <= MAX_CONFIDENT_ERROR) & ends[:most])
    confident = probability[order[accurate[-1]]] if len(accurate) else UNREACHABLE
    return Calibration(temperature, least_similarity, float(confident), float(least_probability))


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the softmax of logits over the last axis: shape (…, classes), float32."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True), dtype=np.float32)


def energy_score(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the negative energy (Liu et al. 2020), log Σ exp of the logits; it is low for outliers.

    Args:
        logits: shape (…, classes).

    Returns:
        Scores of shape (…).
    """
    largest = logits.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(logits - largest[..., None]).sum(axis=-1)))
