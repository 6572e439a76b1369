"""Evaluate a classifier on pictures that it was not trained on."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import ImageError, SourceError
from data.images import decode
from data.outliers import mirror, turn
from data.prepare import Prepared
from data.source import read_pictures
from data.task import Task
from model.artifact import Card
from model.calibrate import Calibration
from model.classifier import Classifier, Scores
from model.errors import EvaluationError
from model.evaluation.accuracy import measure_accuracy
from model.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from model.evaluation.metrics import (
    auroc,
    calibration_bins,
    confusions,
    expected_calibration_error,
    f1_scores,
    refused,
    selective_error,
)

Pixels = npt.NDArray[np.uint8]
CORRUPTED = 1000  # examples for the table of corruptions, 60 times over
DRAWN = 500  # of each kind of outlier that a task draws
SEED = 1_000_003  # not one that a training uses
COVERAGES = (1.0, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
MISTAKES = 40  # that are listed one by one, the most confident first
TIMED = 500  # pictures


def evaluate(classifier: Classifier, task: Task, prepared: Prepared, outliers: dict[str, Pixels]) -> dict[str, Any]:
    """Return all figures for labelled examples and for pictures that are none of the classes, in JSON types.

    Args:
        classifier: what is measured, as it serves.
        task: its task.
        prepared: examples that it was not trained on.
        outliers: pictures by kind, each (n, height, width, 3), uint8; of the examples' size.
    """
    truth, calibration = prepared.class_index, classifier.card.calibration
    scores = classifier.run(prepared.pixels)
    probability = calibration.probabilities(scores.logits).max(axis=1)
    correct = scores.predicted == truth
    accuracy = measure_accuracy(scores.predicted, truth, prepared.groups, task.labels)
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


def held_out(card: Card, prepared: Prepared) -> Prepared:
    """Return the examples that a classifier was not trained on: all, unless they are of the set it was trained on.

    Groups are known by their names, so a part of that set, or the same set with other files, is recognised too;
    pictures without groups, as in folders of their class, cannot be.

    Raises:
        EvaluationError: none is left.
    """
    same_set = prepared.grouped and prepared.origin == card.data["name"]
    if not same_set and prepared.fingerprint != card.data["fingerprint"]:
        return prepared
    rows = np.flatnonzero(np.isin(prepared.groups, card.data["groups_held_out"]))
    if not len(rows):
        raise EvaluationError(f"classifier {card.version} was trained on all of these; nothing is left to measure on")
    return prepared.subset(rows)


def make_outlier_sets(task: Task, prepared: Prepared) -> dict[str, Pixels]:
    """Return pictures of none of the classes, by kind: changed examples and what the task draws.

    There are at most `DRAWN` of each kind that a task draws, and no more than there are examples.
    """
    mirrored = prepared.pixels[np.isin(prepared.class_index, task.outliers.mirrored)]
    turned = prepared.pixels[np.isin(prepared.class_index, task.outliers.turned)]
    sets = {"mirrored": mirror(mirrored), "turned": turn(turned, 1)}
    if extension := task.load_extension():
        count = min(DRAWN, len(prepared))
        sets |= extension.test_outliers(
            task.input_size, prepared.pixels, prepared.boxes, prepared.class_index, count, SEED
        )
    return {kind: pixels for kind, pixels in sets.items() if len(pixels)}


def decode_pictures(location: Path, size: tuple[int, int]) -> Pixels:
    """Decode every picture of a folder or archive; shape (n, height, width, 3), uint8.

    Raises:
        SourceError: there is none, or one cannot be read.
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
    """Count answers and errors by verdict."""
    answers = zip(probability.tolist(), scores.energy.tolist(), scores.similarity.tolist(), strict=True)
    verdicts = np.array([calibration.verdict(*answer) for answer in answers])
    return {
        verdict: {"examples": int(np.sum(verdicts == verdict)), "errors": int(np.sum(~correct[verdicts == verdict]))}
        for verdict in ("confident", "unsure", "not_recognised")
    }


def _refusal(calibration: Calibration, inliers: Scores, outliers: Scores) -> dict[str, Any]:
    """Tell how well each score sets outliers apart, and how many of them the verdict refuses with the card's limits."""
    figures: dict[str, Any] = count_not_recognised(calibration, outliers)
    scores = {
        "probability": [calibration.probabilities(side.logits).max(axis=1) for side in (inliers, outliers)],
        "energy": [inliers.energy, outliers.energy],
        "similarity": [inliers.similarity, outliers.similarity],
    }
    for name, (inside, outside) in scores.items():
        figures[name] = {
            "auroc": auroc(inside, outside),
            "refused_at_95_%_accepted": refused(inside, outside, 0.95),
            "refused_at_99_%_accepted": refused(inside, outside, 0.99),
        }
    return figures


def count_not_recognised(calibration: Calibration, scores: Scores) -> dict[str, Any]:
    """Return how many pictures there are, and the share of them that the verdict refuses, in [0, 1]."""
    known = (scores.energy >= calibration.energy) & (scores.similarity >= calibration.similarity)
    return {"pictures": len(scores.logits), "not_recognised": float(1 - known.mean())}


def _milliseconds(classifier: Classifier, pixels: Pixels) -> float:
    """Return the median time of one inference, one thread, without decoding."""
    times = []
    for picture in pixels:
        began = time.perf_counter()
        classifier.run(picture[None])
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1000)


def _corruption(classifier: Classifier, prepared: Prepared) -> dict[str, Any]:
    """Accuracies by corruption and severity, on the same random examples each time, and their mean."""
    rows = np.random.default_rng(SEED).permutation(len(prepared))[:CORRUPTED]
    pixels, truth = prepared.pixels[rows], prepared.class_index[rows]
    table: dict[str, Any] = {
        name: [
            float((classifier.run(corrupt(pixels, name, severity)).predicted == truth).mean())
            for severity in SEVERITIES
        ]
        for name in CORRUPTIONS
    }
    return {"examples": len(rows), "mean": float(np.mean(list(table.values()))), **table}
