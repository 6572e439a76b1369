"""Evaluate a classifier on pictures that it was not trained on."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import ImageError, SourceError
from data.files import read_pictures
from data.images import Pixels, decode
from data.outliers import mirror, turn
from data.prepare import Prepared
from data.task import Task
from model.artifact import Card
from model.calibrate import Calibration
from model.classifier import Classifier, Scores
from model.errors import EvaluationError
from model.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from model.evaluation.metrics import (
    auroc,
    calibration_bins,
    compute_accuracy,
    confusions,
    expected_calibration_error,
    f1_scores,
    refusal_rate,
    selective_error,
)

# Pixels of the examples for the table of corruptions: 1,000 of 48 × 48. Each is corrupted 60 times, in about a minute.
CORRUPTED_PIXELS = 1000 * 48 * 48
DRAWN = 500  # pictures of each kind of outlier drawn by the task
SEED = 1_000_003  # differs from all seeds used in training
COVERAGES = (1.0, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
MISTAKES = 40  # mistakes listed individually, most confident first
TIMED = 500  # pictures for the timing


def evaluate(classifier: Classifier, task: Task, prepared: Prepared, outliers: dict[str, Pixels]) -> dict[str, Any]:
    """Evaluate a classifier on labelled examples and on outliers.

    Args:
        classifier: the classifier, run with LiteRT as in the service.
        task: the classifier's task.
        prepared: examples that were not used for training.
        outliers: pictures of none of the classes by kind, each (n, height, width, 3), uint8, in the examples' size.

    Returns:
        All figures in JSON types, as the report and the artifact's card contain them.
    """
    truth, calibration = prepared.class_index, classifier.card.calibration
    scores = classifier.run(prepared.pixels)
    probability = calibration.probabilities(scores.logits).max(axis=1)
    correct = scores.predicted == truth
    accuracy = compute_accuracy(scores.predicted, truth, prepared.groups, task.labels)
    return {
        "accuracy": {**accuracy.to_json(), "grouped": prepared.grouped},
        "macro_f1": float(np.nanmean(f1_scores(scores.predicted, truth, len(task.labels)))),
        "confusions": confusions(scores.predicted, truth),
        "mistakes": _mistakes(scores, probability, prepared),
        "expected_calibration_error": expected_calibration_error(probability, correct),
        "calibration_bins": calibration_bins(probability, correct),
        "error_among_most_confident": {
            f"{coverage:.1%}": selective_error(probability, correct, coverage) for coverage in COVERAGES
        },
        "verdicts": _verdicts(calibration, scores, probability, correct),
        "refusal": {kind: _refusal(calibration, scores, classifier.run(pixels)) for kind, pixels in outliers.items()},
        "accuracy_under_corruption": _corruption(classifier, prepared),
        "milliseconds_per_image": _milliseconds(classifier, prepared.pixels[:TIMED]),
    }


def select_held_out(card: Card, prepared: Prepared) -> Prepared:
    """Return the examples that a classifier was not trained on.

    From the training data set these are the held-out groups; from any other data set, all examples. Groups are
    matched by name, so a part of the training data set or a modified copy is recognised too. Pictures without groups
    are matched only if the whole data set is the same.

    Raises:
        EvaluationError: the classifier was trained on all examples.
    """
    same_set = prepared.grouped and prepared.origin == card.data["name"]
    if not same_set and prepared.fingerprint != card.data["fingerprint"]:
        return prepared
    rows = np.flatnonzero(np.isin(prepared.groups, card.data["groups_held_out"]))
    if not len(rows):
        raise EvaluationError(f"classifier {card.version} was trained on all of these examples; use others")
    return prepared.subset(rows)


def make_outlier_sets(task: Task, prepared: Prepared) -> dict[str, Pixels]:
    """Make pictures of none of the classes from the examples and with the task's extension.

    Returns:
        Pictures by kind, each (n, height, width, 3), uint8; kinds without pictures are left out. The task draws at
        most `DRAWN` pictures of a kind, and no more than there are examples.
    """
    mirrored = prepared.pixels[np.isin(prepared.class_index, task.outliers.mirrored)]
    turned = prepared.pixels[np.isin(prepared.class_index, task.outliers.turned)]
    sets = {"mirrored": mirror(mirrored), "turned": turn(turned, 1)}
    if extension := task.load_extension():
        count = min(DRAWN, len(prepared))
        sets |= extension.test_outliers(
            task.input_size, prepared.pixels[:], prepared.boxes, prepared.class_index, count, SEED
        )
    return {kind: pixels for kind, pixels in sets.items() if len(pixels)}


def decode_pictures(location: Path, size: tuple[int, int]) -> Pixels:
    """Decode all pictures of a folder or archive.

    Args:
        location: the folder or archive.
        size: (height, width) of the decoded pictures.

    Returns:
        Pixels of shape (n, height, width, 3), uint8.

    Raises:
        SourceError: there are no pictures, or one cannot be decoded.
    """
    pixels = []
    for name, payload in read_pictures(location):
        try:
            pixels.append(decode(payload, size))
        except ImageError as error:
            raise SourceError(f"{name}: {error}") from error
    return np.stack(pixels)


def _mistakes(scores: Scores, probability: npt.NDArray[np.float32], prepared: Prepared) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(scores.predicted != prepared.class_index)
    return [
        {
            "row": int(row),
            "group": str(prepared.groups[row]),
            "class_index": int(prepared.class_index[row]),
            "predicted": int(scores.predicted[row]),
            "probability": float(probability[row]),
        }
        for row in wrong[np.argsort(-probability[wrong], kind="stable")][:MISTAKES]
    ]


def _verdicts(
    calibration: Calibration,
    scores: Scores,
    probability: npt.NDArray[np.float32],
    correct: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Count predictions and errors by verdict."""
    rows = zip(probability.tolist(), scores.energy.tolist(), scores.similarity.tolist(), strict=True)
    verdicts = np.array([calibration.verdict(*row) for row in rows])
    return {
        verdict: {"examples": int(np.sum(verdicts == verdict)), "errors": int(np.sum(~correct[verdicts == verdict]))}
        for verdict in ("confident", "unsure", "not_recognised")
    }


def _refusal(calibration: Calibration, inliers: Scores, outliers: Scores) -> dict[str, Any]:
    """Return how well each score separates outliers, and how many the card's thresholds reject."""
    figures: dict[str, Any] = count_not_recognised(calibration, outliers)
    scores = {
        "probability": [calibration.probabilities(side.logits).max(axis=1) for side in (inliers, outliers)],
        "energy": [inliers.energy, outliers.energy],
        "similarity": [inliers.similarity, outliers.similarity],
    }
    for name, (inside, outside) in scores.items():
        figures[name] = {
            "auroc": auroc(inside, outside),
            "refused_at_95_%_accepted": refusal_rate(inside, outside, 0.95),
            "refused_at_99_%_accepted": refusal_rate(inside, outside, 0.99),
        }
    return figures


def count_not_recognised(calibration: Calibration, scores: Scores) -> dict[str, Any]:
    """Return the number of pictures and the share with the verdict "not_recognised", in [0, 1]."""
    probability = calibration.probabilities(scores.logits).max(axis=1)
    recognised = calibration.recognised(probability, scores.energy, scores.similarity)
    return {"pictures": len(scores.logits), "not_recognised": float(1 - np.mean(recognised))}


def _milliseconds(classifier: Classifier, pixels: Pixels) -> float:
    """Return the median time in ms of one inference on one thread, without decoding."""
    times = []
    for picture in pixels:
        began = time.perf_counter()
        classifier.run(picture[None])
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000)


def _corruption(classifier: Classifier, prepared: Prepared) -> dict[str, Any]:
    """Return the accuracy for each corruption and severity, always on the same random examples, and the mean."""
    most = max(1, CORRUPTED_PIXELS // math.prod(classifier.card.input_size))
    rows = np.random.default_rng(SEED).permutation(len(prepared))[:most]
    pixels, truth = prepared.pixels[rows], prepared.class_index[rows]
    table: dict[str, Any] = {
        name: [
            float((classifier.run(corrupt(pixels, name, severity)).predicted == truth).mean())
            for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    return {"examples": len(rows), "mean": float(np.mean(list(table.values()))), **table}
