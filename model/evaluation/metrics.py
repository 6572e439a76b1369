"""Metrics: accuracy with an interval over groups, confusions, calibration, selective error and rejection.

Unless stated otherwise, arrays have shape (n,) with n at least 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import f1_score, roc_auc_score

from data.label import Label

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

RESAMPLES = 2000  # of the bootstrap; 50 of them lie beyond each end of a 95% interval


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a classifier's predictions, with the counts behind it.

    Attributes:
        examples: number of examples.
        groups: number of groups.
        errors: number of wrong predictions.
        accuracy: share of correct predictions, in [0, 1].
        interval: ends of the 95% bootstrap interval of `accuracy`. Whole groups are resampled, because pictures of
            one object tend to be right or wrong together; resampling pictures would give too narrow an interval.
            Without errors both ends are 1; then the share of groups with errors is likely below 3 / groups.
        per_class: class index, number of examples and number of errors of each class.
    """

    examples: int
    groups: int
    errors: int
    accuracy: float
    interval: tuple[float, float]
    per_class: tuple[dict[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures in JSON types, fractions rounded to five decimal places."""
        return {
            "examples": self.examples,
            "groups": self.groups,
            "errors": self.errors,
            "accuracy": round(self.accuracy, 5),
            "accuracy_interval_95": [round(end, 5) for end in self.interval],
            "per_class": list(self.per_class),
        }


def compute_accuracy(
    predicted: Indices, class_index: Indices, groups: npt.NDArray[np.str_], labels: tuple[Label, ...], seed: int = 0
) -> Accuracy:
    """Compare predictions with the true classes.

    Args:
        predicted: predicted class indices.
        class_index: true class indices.
        groups: name of each example's group.
        labels: all classes of the task.
        seed: seed of the bootstrap.
    """
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


def _bootstrap(correct: Flags, groups: npt.NDArray[np.str_], seed: int) -> tuple[float, float]:
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    right = np.bincount(group, weights=correct)
    drawn = np.random.default_rng(seed).integers(0, len(size), (RESAMPLES, len(size)))
    accuracy = right[drawn].sum(axis=1) / size[drawn].sum(axis=1)
    low, high = np.quantile(accuracy, [0.025, 0.975])
    if low == high:  # all groups are right, or all wrong: then the bootstrap is as sure as if there were millions
        interval = binomtest(round(low * len(size)), len(size)).proportion_ci(method="wilson")
        low, high = interval.low, interval.high
    return float(low), float(high)


def f1_scores(predicted: Indices, class_index: Indices, class_count: int) -> npt.NDArray[np.float64]:
    """Return the F1 score of each class, shape (class_count,); NaN for classes without examples."""
    classes = np.arange(class_count)
    scores = f1_score(class_index, predicted, labels=classes, average=None, zero_division=0)
    return np.where(np.isin(classes, class_index), scores, np.nan)


def confusions(predicted: Indices, class_index: Indices) -> list[dict[str, int]]:
    """Return the nonzero off-diagonal cells of the confusion matrix, largest count first."""
    wrong = predicted != class_index
    pairs, counts = np.unique(np.stack([class_index[wrong], predicted[wrong]]), axis=1, return_counts=True)
    return [
        {"class_index": int(pairs[0, pair]), "predicted": int(pairs[1, pair]), "count": int(counts[pair])}
        for pair in np.argsort(-counts, kind="stable")
    ]


def expected_calibration_error(probability: Floats, correct: Flags, bins: int = 15) -> float:
    """Return the mean gap between probability and accuracy over bins of equal size (Nixon et al. 2019), in [0, 1]."""
    gaps = [
        row["examples"] * abs(row["probability"] - row["accuracy"])
        for row in calibration_bins(probability, correct, bins)
    ]
    return float(sum(gaps) / len(probability))


def calibration_bins(probability: Floats, correct: Flags, bins: int = 15) -> list[dict[str, float]]:
    """Return the number of examples, mean probability and accuracy of bins of equal size, by rising probability."""
    order = np.argsort(probability, kind="stable")
    return [
        {
            "examples": len(rows),
            "probability": float(probability[rows].mean()),
            "accuracy": float(correct[rows].mean()),
        }
        for rows in np.array_split(order, min(bins, len(order)))
    ]


def selective_error(score: Floats, correct: Flags, coverage: float) -> float:
    """Return the error rate among the predictions with the highest scores.

    Args:
        score: confidence of each prediction.
        correct: whether each prediction is correct.
        coverage: share of the predictions to keep, in (0, 1]; at least one is kept.
    """
    kept = np.argsort(-score, kind="stable")[: max(1, round(coverage * len(score)))]
    return float(1 - correct[kept].mean())


def auroc(inlier_score: Floats, outlier_score: Floats) -> float:
    """Return the area under the ROC curve of inliers, shape (n,), against outliers, shape (m,).

    It is the probability that an inlier has a higher score than an outlier; ties count half.
    """
    is_inlier = np.repeat([True, False], [len(inlier_score), len(outlier_score)])
    return float(roc_auc_score(is_inlier, np.concatenate([inlier_score, outlier_score])))


def refusal_rate(inlier_score: Floats, outlier_score: Floats, accepted: float) -> float:
    """Return the share of outliers, shape (m,), below the threshold that a share `accepted` of the inliers reaches."""
    return float(np.mean(outlier_score < np.quantile(inlier_score, 1 - accepted)))
