"""Figures about answers: calibration, selective risk and refusal. All arrays have shape (n,)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def expected_calibration_error(probability: Floats, correct: Flags, bins: int = 15) -> float:
    """Return the mean gap between probability and accuracy over bins of equal mass (Nixon et al. 2019), in [0, 1]."""
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(rows) * abs(probability[rows].mean() - correct[rows].mean())
        for rows in np.array_split(order, min(bins, len(order)))
    ]
    return float(sum(gaps) / len(order))


def selective_error(score: Floats, correct: Flags, coverage: float) -> float:
    """Return the share of errors among the answers with the highest scores; `coverage` in (0, 1] says how many."""
    kept = np.argsort(-score, kind="stable")[: max(1, round(coverage * len(score)))]
    return float(1 - correct[kept].mean())


def auroc(inlier_score: Floats, outlier_score: Floats) -> float:
    """Return the probability that an inlier scores higher than an outlier, ties counting half."""
    scores = np.concatenate([inlier_score, outlier_score])
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # ranks begin at 1; equals share theirs
    count = len(inlier_score)
    above = middle[rank[:count]].sum() - count * (count + 1) / 2
    return float(above / (count * len(outlier_score)))


def refused(inlier_score: Floats, outlier_score: Floats, accepted: float) -> float:
    """Return the share of outliers that score below the value which a share `accepted` of the inliers reaches."""
    return float(np.mean(outlier_score < np.quantile(inlier_score, 1 - accepted)))


def macro_f1(predicted: npt.NDArray[np.int64], class_index: npt.NDArray[np.int64]) -> float:
    """Return the mean of the classes' F1 scores, over the classes that occur in the truth."""
    scores = []
    for index in np.unique(class_index):
        hit = np.sum((predicted == index) & (class_index == index))
        scores.append(2 * hit / (np.sum(predicted == index) + np.sum(class_index == index)))
    return float(np.mean(scores))
