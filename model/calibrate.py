"""What an answer is worth: calibrated probabilities, and the limits between confident, unsure and not recognised."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["confident", "unsure", "not_recognised"]
Floats = npt.NDArray[np.floating]

ACCEPTED = 0.99  # share of real signs that must not be called "not recognised"
ALIKE = 0.998  # share of real signs that the limit on similarity alone must accept
TRUSTED = 0.95  # largest share of real signs that is called "confident": the rest leaves room for doubt
NEVER = 2.0  # a limit that no probability reaches
CONFIDENT_ERROR = 0.001  # largest share of errors among those
TEMPERATURES = np.geomspace(0.1, 10.0, 401)


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities, and the limits of the verdicts.

    Logits are divided by `temperature` (Guo et al. 2017). An answer is `not_recognised` if the energy score of the
    picture's logits lies below `energy` or the similarity of its embedding below `similarity`; one with a
    probability of `confident` or more is `confident`.
    """

    temperature: float
    energy: float
    similarity: float
    confident: float

    def probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return calibrated probabilities (…, classes), float32, for logits of that shape."""
        return softmax(logits / self.temperature)

    def verdict(self, probability: float, energy: float, similarity: float) -> Verdict:
        """Say how far the answer with this largest probability, energy score and similarity can be trusted."""
        if energy < self.energy or similarity < self.similarity:
            return "not_recognised"
        return "confident" if probability >= self.confident else "unsure"


UNCALIBRATED = Calibration(temperature=1.0, energy=-np.inf, similarity=-np.inf, confident=NEVER)


def choose_temperature(logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> float:
    """Return the temperature of highest likelihood, to 1 %.

    Args:
        logits: shape (n, classes), of examples that were held out; mildly corrupted ones among them, or there are
            too few errors to learn doubt from.
        truth: class indices, shape (n,).
    """
    rows = np.arange(len(truth))
    losses = [-np.log(np.maximum(softmax(logits / t)[rows, truth], 1e-12)).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[np.argmin(losses)])


def choose_calibration(
    temperature: float, logits: npt.NDArray[np.float32], similarity: Floats, truth: npt.NDArray[np.int64]
) -> Calibration:
    """Choose all limits on answers to examples that were held out from training.

    The limit on similarity is the value that `ALIKE` of the examples reach; that on energy lets `ACCEPTED` of them
    pass both. `confident` is a probability that `TRUSTED` of them reach at most, the lowest one from which on no more
    than `CONFIDENT_ERROR` of the answers are wrong.

    Args:
        temperature: for the probabilities.
        logits: shape (n, classes); similarity: shape (n,); truth: class indices, shape (n,).
    """
    alike = float(np.quantile(similarity, 1 - ALIKE))
    energy = np.where(similarity >= alike, energy_score(logits), -np.inf)
    refused = int((1 - ACCEPTED) * len(energy)) - np.sum(np.isinf(energy))
    known = np.sort(energy[np.isfinite(energy)])[max(refused, 0)]
    probability = softmax(logits / temperature).max(axis=1)
    order = np.argsort(-probability, kind="stable")
    error = np.cumsum(logits.argmax(axis=1)[order] != truth[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(probability[order]) < 0, True)  # equal probabilities stand on one side of a limit
    most = max(1, int(TRUSTED * len(order)))
    accurate = np.flatnonzero((error[:most] <= CONFIDENT_ERROR) & ends[:most])
    confident = probability[order[accurate[-1]]] if len(accurate) else NEVER
    return Calibration(temperature, float(known), alike, float(confident))


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn logits (…, classes) into probabilities of the same shape, float32, summing to 1 over the last axis."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True), dtype=np.float32)


def energy_score(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the negative energy, log Σ exp of the logits (Liu et al. 2020): (…, classes) → (…); low for outliers."""
    largest = logits.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(logits - largest[..., None]).sum(axis=-1)))
