"""Metrics of detection on scenes whose answers can be worked out by hand."""

import json

import numpy as np
import pytest

from model.detector import intersection_over_union
from model.evaluation.detection import SceneMatches, average_precision, describe, match


def found(
    boxes: list[list[float]], scores: list[float], classes: list[int], true: list[list[float]], true_classes: list[int]
) -> SceneMatches:
    return SceneMatches(
        np.array(boxes, float).reshape(-1, 4),
        np.array(scores, float),
        np.array(classes, np.int64),
        np.array(true, float).reshape(-1, 4),
        np.array(true_classes, np.int64),
    )


SIGN, ELSEWHERE = [10.0, 10.0, 40.0, 40.0], [100.0, 100.0, 120.0, 120.0]


def test_intersection_over_union() -> None:
    overlap = intersection_over_union(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 10], [5, 0, 15, 10], SIGN]))
    assert overlap[0] == pytest.approx([1, 1 / 3, 0])


def test_sign_is_found_once_by_the_best_detection() -> None:
    scene = found([SIGN, SIGN, ELSEWHERE], [0.5, 0.9, 0.8], [3, 3, 3], [SIGN], [3])
    assert match(scene, by_class=False).tolist() == [-1, 0, -1]


def test_wrong_name_finds_a_sign_but_not_a_named_one() -> None:
    scene = found([SIGN], [0.9], [4], [SIGN], [3])
    assert match(scene, by_class=False).tolist() == [0]
    assert match(scene, by_class=True).tolist() == [-1]


def test_average_precision() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert average_precision(scores, np.array([True, True, False, False]), 2) == pytest.approx(1.0)
    assert average_precision(scores, np.array([True, False, True, False]), 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, np.array([True, False, False, False]), 2) == pytest.approx(0.5)
    assert average_precision(np.empty(0), np.empty(0, bool), 2) == 0


def test_figures_of_some_scenes() -> None:
    scenes = [
        found([SIGN, ELSEWHERE], [0.9, 0.3], [3, 3], [SIGN], [3]),
        found([SIGN], [0.8], [4], [SIGN], [3]),
        found([], [], [], [], []),
        found([], [], [], [[0, 0, 18, 18]], [5]),
    ]
    figures = describe(scenes, 43)
    assert (figures["scenes"], figures["signs"], figures["classes"]) == (4, 3, 2)
    assert figures["ap50_of_a_sign"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["ap50_of_a_named_sign"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["ap50_by_class"] == {"3": 0.5, "5": 0.0}
    assert figures["map50"] == 0.25
    strict, loose = (figures["at_false_alarms_per_scene"][rate] for rate in ("0.1", "0.5"))
    assert (strict["found_and_named"], strict["wrongly_named"], strict["threshold"]) == (1, 1, 0.3)
    assert loose["threshold"] == 0
    assert strict["recall_from_20_px"] == 0.5
    assert strict["recall_by_size"] == {"16-24": [0, 1], "24-32": [1, 2]}
    assert strict["recall_by_class"] == {"3": [1, 2], "5": [0, 1]}


def test_figures_that_are_undefined_are_none() -> None:
    """Without any sign, and without one of 20 px; JSON has no word for "not a number"."""
    nothing = describe([found([SIGN, ELSEWHERE], [0.9, 0.3], [3, 3], [], [])], 43)
    assert (nothing["signs"], nothing["map50"], nothing["ap50_of_a_sign"]) == (0, None, None)
    rate = nothing["at_false_alarms_per_scene"]["0.5"]
    assert (rate["threshold"], rate["recall"], rate["recall_from_20_px"]) == (0.9, None, None)
    small = describe([found([[0, 0, 18, 18]], [0.9], [3], [[0, 0, 18, 18]], [3])], 43)
    rate = small["at_false_alarms_per_scene"]["0.5"]
    assert (rate["recall"], rate["recall_from_20_px"]) == (1, None)
    json.dumps([nothing, small], allow_nan=False)
