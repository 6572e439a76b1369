"""Metrics of detection: average precision, recall by size, and recall at a rate of false alarms.

A detection finds a sign if their intersection over union is at least `MIN_OVERLAP`; each sign is found once, by the
best detection that reaches it. Detections are compared over all scenes together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.detector import intersection_over_union

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

MIN_OVERLAP = 0.5  # intersection over union, as in PASCAL VOC
SIZES = ((0, 16), (16, 24), (24, 32), (32, 64), (64, 128), (128, 10_000))  # pixels, square root of the area


@dataclass(frozen=True)
class SceneMatches:
    """What was found in one scene, and what is there.

    Attributes:
        boxes: detections, shape (n, 4): left, top, right, bottom in pixels.
        scores: shape (n,).
        class_index: shape (n,).
        true_boxes: labelled signs, shape (m, 4).
        true_class_index: shape (m,).
    """

    boxes: Floats
    scores: Floats
    class_index: Indices
    true_boxes: Floats
    true_class_index: Indices


def match(found: SceneMatches, *, by_class: bool) -> Indices:
    """Return the index of the sign that each detection finds, or -1; shape (n,).

    Args:
        found: detections and signs of one scene.
        by_class: whether a detection finds only signs of its own class.
    """
    overlap = intersection_over_union(found.boxes, found.true_boxes)
    if by_class:
        overlap = np.where(found.class_index[:, None] == found.true_class_index[None], overlap, 0.0)
    matched = np.full(len(found.boxes), -1)
    free = np.ones(len(found.true_boxes), bool)
    for row in np.argsort(-found.scores, kind="stable"):
        candidates = np.where(free, overlap[row], 0.0)
        if len(candidates) and candidates.max() >= MIN_OVERLAP:
            matched[row] = candidates.argmax()
            free[matched[row]] = False
    return matched


def average_precision(scores: Floats, correct: Flags, signs: int) -> float:
    """Return the area under the curve of precision over recall, made monotonic as in PASCAL VOC 2010; in [0, 1].

    Args:
        scores: of all detections, shape (n,).
        correct: whether each found a sign.
        signs: number of signs that there are, at least 1.
    """
    correct = correct[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(correct) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[correct].sum() / signs)


def describe(scenes: Sequence[SceneMatches], class_count: int) -> dict[str, Any]:
    """Return the figures of a set of scenes in JSON types, fractions rounded to five decimal places.

    Figures that are undefined are None: all fractions without any sign, and the recall from 20 px without such a sign.

    Args:
        scenes: at least one.
        class_count: number of classes.
    """
    alone = [match(found, by_class=False) for found in scenes]
    named = [match(found, by_class=True) for found in scenes]
    scores = np.concatenate([found.scores for found in scenes])
    signs = sum(len(found.true_boxes) for found in scenes)
    is_sign, is_named = (np.concatenate(rows) >= 0 for rows in (alone, named))
    predicted = np.concatenate([found.class_index for found in scenes])
    truth = np.concatenate([found.true_class_index for found in scenes])
    per_class = {
        index: average_precision(scores[predicted == index], is_named[predicted == index], int(np.sum(truth == index)))
        for index in range(class_count)
        if np.any(truth == index)
    }
    return {
        "scenes": len(scenes),
        "signs": signs,
        "ap50_of_a_sign": round(average_precision(scores, is_sign, signs), 5) if signs else None,
        "ap50_of_a_named_sign": round(average_precision(scores, is_named, signs), 5) if signs else None,
        "map50": _mean(np.array([*per_class.values()])),
        "classes": len(per_class),
        "ap50_by_class": {str(index): round(value, 5) for index, value in per_class.items()},
        "at_false_alarms_per_scene": {
            str(rate): _at_rate(scenes, named, alone, rate) for rate in (0.02, 0.05, 0.1, 0.2, 0.5)
        },
    }


def _at_rate(
    scenes: Sequence[SceneMatches], named: Sequence[Indices], alone: Sequence[Indices], rate: float
) -> dict[str, Any]:
    """Return the recall at the lowest threshold with at most this many false alarms per scene.

    A false alarm is a detection that finds no sign; one that finds a sign with the wrong name is an error of its own.
    """
    false = np.sort(np.concatenate([found.scores[rows < 0] for found, rows in zip(scenes, alone, strict=True)]))[::-1]
    allowed = int(rate * len(scenes))
    threshold = float(false[allowed]) if allowed < len(false) else 0.0
    hits: list[npt.NDArray[np.bool_]] = []
    sizes: list[Floats] = []
    wrong = 0
    for found, rows, places in zip(scenes, named, alone, strict=True):
        hit = np.zeros(len(found.true_boxes), bool)
        hit[rows[(rows >= 0) & (found.scores > threshold)]] = True
        wrong += int(np.sum((places >= 0) & (rows < 0) & (found.scores > threshold)))
        hits.append(hit)
        sizes.append(np.sqrt((found.true_boxes[:, 2:] - found.true_boxes[:, :2]).prod(axis=1)))
    every, size = np.concatenate(hits), np.concatenate(sizes)
    truth = np.concatenate([found.true_class_index for found in scenes])
    return {
        "threshold": round(threshold, 5),
        "found_and_named": int(every.sum()),
        "recall": _mean(every),
        "recall_from_20_px": _mean(every[size >= 20]),
        "wrongly_named": wrong,
        "recall_by_size": {
            f"{low}-{high}": [int(every[inside].sum()), int(inside.sum())]
            for low, high in SIZES
            if (inside := (size >= low) & (size < high)).any()
        },
        "recall_by_class": {
            str(index): [int(every[truth == index].sum()), int(np.sum(truth == index))] for index in np.unique(truth)
        },
    }


def _mean(values: Floats | Flags) -> float | None:
    return round(float(values.mean()), 5) if len(values) else None
