"""Right and wrong answers counted, with an interval over groups."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.label import Label

RESAMPLES = 2000  # of the bootstrap: the ends of a 95 % interval rest on 50 of them each


@dataclass(frozen=True)
class Accuracy:
    """Answers counted.

    `interval` holds the ends of the 95 % interval of `accuracy`, by resampling whole groups: frames of one sign are
    right or wrong together, so resampling single pictures would promise too much. Without an error both ends are 1,
    which says no more than that the share of wrong groups is likely below 3 / groups.
    """

    examples: int
    groups: int
    errors: int
    accuracy: float
    interval: tuple[float, float]
    per_class: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON types, fractions rounded to five digits."""
        return {
            "examples": self.examples,
            "groups": self.groups,
            "errors": self.errors,
            "accuracy": round(self.accuracy, 5),
            "accuracy_interval_95": [round(end, 5) for end in self.interval],
            "per_class": list(self.per_class),
        }


def measure_accuracy(
    predicted: npt.NDArray[np.int64],
    class_index: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
    labels: tuple[Label, ...],
    seed: int = 0,
) -> Accuracy:
    """Compare answers with the truth; all arrays have shape (n,), n at least 1."""
    correct = predicted == class_index
    per_class = tuple(
        {
            "class_index": label.index,
            "examples": int(np.sum(class_index == label.index)),
            "errors": int(np.sum(~correct & (class_index == label.index))),
        }
        for label in labels
    )
    return Accuracy(
        examples=len(correct),
        groups=len(np.unique(groups)),
        errors=int(np.sum(~correct)),
        accuracy=float(correct.mean()),
        interval=_bootstrap(correct, groups, seed),
        per_class=per_class,
    )


def _bootstrap(correct: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_], seed: int) -> tuple[float, float]:
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    right = np.bincount(group, weights=correct)
    drawn = np.random.default_rng(seed).integers(0, len(size), (RESAMPLES, len(size)))
    accuracy = right[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    low, high = np.quantile(accuracy, [0.025, 0.975])
    return float(low), float(high)
