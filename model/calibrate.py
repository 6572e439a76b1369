"""What a probability is worth: the limits between confident, unsure and not recognised."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Verdict = Literal["confident", "unsure", "not_recognised"]

ACCEPTED = 0.99  # share of real signs that must not be called "not recognised"
CONFIDENT_ERROR = 0.001  # largest share of errors among the answers called "confident"


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

    `recognised` is the value that `ACCEPTED` of the examples reach; `confident` is the smallest value, not below
    it, from which on at most `CONFIDENT_ERROR` of the answers are wrong.

    Args:
        probability: shape (n,), the largest probability of each answer.
        correct: shape (n,), whether the answer was right.
    """
    recognised = float(np.quantile(probability, 1 - ACCEPTED))
    order = np.argsort(-probability, kind="stable")
    error = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    trusted = np.flatnonzero(error <= CONFIDENT_ERROR)
    confident = float(probability[order[trusted[-1]]]) if len(trusted) else 1.0
    return Thresholds(recognised, max(recognised, confident))


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn logits (…, classes) into probabilities of the same shape, float32, summing to 1 over the last axis."""
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True), dtype=np.float32)
