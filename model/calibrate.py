"""What a probability is worth: the limits between confident, unsure and not recognised."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["confident", "unsure", "not_recognised"]

ACCEPTED = 0.99  # share of real signs that must not be called "not recognised"
TRUSTED = 0.95  # largest share of real signs that is called "confident": the rest leaves room for doubt
NEVER = 2.0  # a limit that no probability reaches
CONFIDENT_ERROR = 0.001  # largest share of errors among those


@dataclass(frozen=True)
class Thresholds:
    """Limits on the largest probability: below `recognised` no class is claimed, from `confident` on it is trusted."""

    recognised: float
    confident: float

    def verdict(self, probability: float) -> Verdict:
        """Say how far an answer with this largest probability can be trusted."""
        if probability < self.recognised:
            return "not_recognised"
        return "confident" if probability >= self.confident else "unsure"


def choose_thresholds(probability: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_]) -> Thresholds:
    """Choose both limits on answers to examples that were held out from training.

    `recognised` is the value that `ACCEPTED` of the examples reach; `confident` is the value that `TRUSTED` of them
    reach, or a higher one if more than `CONFIDENT_ERROR` of the answers from there on are wrong.

    Args:
        probability: shape (n,), the largest probability of each answer.
        correct: shape (n,), whether the answer was right.
    """
    recognised, trusted = np.quantile(probability, [1 - ACCEPTED, 1 - TRUSTED])
    order = np.argsort(-probability, kind="stable")
    error = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    accurate = np.flatnonzero(error <= CONFIDENT_ERROR)
    confident = probability[order[accurate[-1]]] if len(accurate) else NEVER
    return Thresholds(float(recognised), float(max(trusted, confident)))


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn logits (…, classes) into probabilities of the same shape, float32, summing to 1 over the last axis."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True), dtype=np.float32)
