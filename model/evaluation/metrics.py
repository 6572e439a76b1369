"""Figures about answers: calibration, selective risk and refusal. All arrays have shape (n,)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def expected_calibration_error(probability: Floats, correct: Flags, bins: int = 15) -> float:
    """Return the mean gap between probability and accuracy over bins of equal mass (Nixon et al. 2019), in [0, 1]."""
    gaps = [
        row["examples"] * abs(row["probability"] - row["accuracy"])
        for row in calibration_bins(probability, correct, bins)
    ]
    return float(sum(gaps) / len(probability))


def calibration_bins(probability: Floats, correct: Flags, bins: int = 15) -> list[dict[str, float]]:
    """Return examples, mean probability and accuracy of bins of equal mass, least probable first."""
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


def f1_scores(
    predicted: npt.NDArray[np.int64], class_index: npt.NDArray[np.int64], class_count: int
) -> npt.NDArray[np.float64]:
    """Return each class's F1 score, shape (class_count,); NaN for a class that does not occur in the truth."""
    truth, answers = (np.bincount(index, minlength=class_count) for index in (class_index, predicted))
    hits = np.bincount(class_index[predicted == class_index], minlength=class_count)
    return np.where(truth > 0, 2 * hits / np.maximum(truth + answers, 1), np.nan)


def confusions(predicted: npt.NDArray[np.int64], class_index: npt.NDArray[np.int64]) -> list[dict[str, int]]:
    """Return the pairs of classes that were taken for each other, most frequent first."""
    wrong = predicted != class_index
    pairs, counts = np.unique(np.stack([class_index[wrong], predicted[wrong]]), axis=1, return_counts=True)
    return [
        {"class_index": int(pairs[0, pair]), "predicted": int(pairs[1, pair]), "count": int(counts[pair])}
        for pair in np.argsort(-counts, kind="stable")
    ]
