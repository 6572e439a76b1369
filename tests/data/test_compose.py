"""Training crops for the detector: where the boxes are, what is pasted and what is ignored."""

import dataclasses

import numpy as np
import pytest

from data.compose import Composer, Cutout, cut_out
from data.images import Box
from data.task import Task
from data.training_settings import DetectorTraining

RED, GREY = (220, 20, 20), 128


@pytest.fixture
def settings(task: Task) -> DetectorTraining:
    return dataclasses.replace(task.detector["cpu"], crop=128, pasted=0.0)


@pytest.fixture
def cutouts() -> list[Cutout]:
    pixels = np.full((40, 40, 3), RED, np.uint8)
    return [cut_out(pixels, (4, 4, 36, 36), np.full((64, 64), 255, np.uint8))]


def grey_scenes(count: int = 2) -> np.ndarray:
    return np.full((count, 200, 300, 3), GREY, np.uint8)


def redness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels[..., 0].astype(int) - pixels[..., 1])


def test_boxes_lie_around_the_labelled_signs(settings: DetectorTraining) -> None:
    scenes = grey_scenes()
    scenes[:, 60:100, 120:160] = RED
    boxes: dict[int, list[Box]] = {row: [(120, 60, 160, 100)] for row in range(2)}
    composer = Composer(scenes, boxes, [], [], settings)
    seen = 0
    for number in range(60):
        crop = composer.crop((0, number))
        assert crop.pixels.shape == (128, 128, 3)
        for left, top, right, bottom in crop.boxes:
            inside = np.zeros((128, 128), bool)
            inside[max(round(top), 0) : max(round(bottom), 0), max(round(left), 0) : max(round(right), 0)] = True
            red = redness(crop.pixels)
            around = red[~inside] if not inside.all() else np.zeros(1)  # a magnified sign can fill the crop
            assert red[inside].mean() > 4 * abs(around.mean())
            seen += 1
    assert seen > 20


def test_small_and_cut_signs_are_ignored(settings: DetectorTraining) -> None:
    scenes = grey_scenes()
    boxes: dict[int, list[Box]] = {row: [(120, 60, 124, 64), (290, 60, 330, 100)] for row in range(2)}
    composer = Composer(scenes, boxes, [], [], dataclasses.replace(settings, sizes=(4.0, 5.0)))
    crops = [composer.crop((0, number)) for number in range(60)]
    assert sum(len(crop.ignored) for crop in crops) > 10
    for crop in crops:
        assert np.all((crop.boxes[:, 2:] - crop.boxes[:, :2]).min(axis=1, initial=100) >= 9)


def test_pasted_signs_do_not_overlap_and_are_where_their_boxes_say(
    settings: DetectorTraining, cutouts: list[Cutout]
) -> None:
    composer = Composer(grey_scenes(), {0: [], 1: []}, cutouts, [], dataclasses.replace(settings, pasted=3.0))
    count = 0
    for number in range(40):
        boxes = composer.crop((1, number)).boxes
        count += len(boxes)
        for row, one in enumerate(boxes):
            for other in boxes[:row]:
                assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
    assert count > 60


def test_without_pasting_only_labelled_signs_are_left(settings: DetectorTraining, cutouts: list[Cutout]) -> None:
    composer = Composer(grey_scenes(), {0: [], 1: []}, cutouts, [], settings)
    assert all(len(composer.crop((2, number)).boxes) == 0 for number in range(20))


def test_photos_of_feedback_are_known_only_in_their_boxes(settings: DetectorTraining, cutouts: list[Cutout]) -> None:
    scenes = [*grey_scenes(1), np.full((90, 400, 3), (20, 20, 220), np.uint8)]
    scenes[1][20:60, 100:140] = RED
    sign, other = (100, 20, 140, 60), (300, 30, 330, 60)
    settings = dataclasses.replace(settings, pasted=3.0)
    composer = Composer(scenes, {0: [], 1: [sign]}, cutouts, [], settings, {1: [other]})
    crops = [composer.crop((4, number)) for number in range(200)]
    partly = [crop for crop in crops if crop.known is not None]
    assert 80 < len(partly) < 160
    for crop in partly:
        assert crop.known is not None
        assert len(crop.known) == 2
        assert len(crop.boxes) + len(crop.ignored) <= 1  # nothing is pasted where nothing is known
        for box in (*crop.boxes, *crop.ignored):
            assert np.array_equal(box, crop.known[0])
    assert sum(len(crop.boxes) for crop in partly) > 30


def test_photo_with_only_wrong_boxes_has_no_signs(settings: DetectorTraining) -> None:
    scenes = [*grey_scenes(1), np.full((150, 150, 3), GREY, np.uint8)]
    scenes[1][20:60, 100:140] = RED
    composer = Composer(scenes, {0: [], 1: []}, [], [], settings, {1: [(100, 20, 140, 60)]})
    partly = [crop for number in range(60) if (crop := composer.crop((5, number))).known is not None]
    assert len(partly) > 20
    for crop in partly:
        assert crop.known is not None
        assert len(crop.boxes) == len(crop.ignored) == 0
        left, top, right, bottom = np.clip(np.round(crop.known[0]), 0, 128).astype(int)
        inside = np.zeros((128, 128), bool)
        inside[top:bottom, left:right] = True
        red = redness(crop.pixels)
        assert red[inside].mean() > 4 * abs(red[~inside].mean())  # it is not mirrored without its box


def test_signs_that_fill_a_photo_of_feedback_are_reduced(settings: DetectorTraining) -> None:
    scenes = [*grey_scenes(1), np.full((1200, 1600, 3), GREY, np.uint8)]
    composer = Composer(scenes, {0: [], 1: [(300, 100, 1300, 1100)]}, [], [], settings, {1: []})
    shown = [crop.boxes[0] for number in range(60) if len((crop := composer.crop((6, number))).boxes)]
    assert len(shown) > 20
    assert np.min([box[2] - box[0] for box in shown]) < 128


def test_same_seed_gives_the_same_crop(settings: DetectorTraining, cutouts: list[Cutout]) -> None:
    composer = Composer(grey_scenes(), {0: [], 1: []}, cutouts, [], dataclasses.replace(settings, pasted=2.0))
    one, again, other = composer.crop((3, 1)), composer.crop((3, 1)), composer.crop((3, 2))
    assert np.array_equal(one.pixels, again.pixels)
    assert np.array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.pixels, other.pixels)


def test_mask_of_a_cutout_has_soft_edges_around_its_box(cutouts: list[Cutout]) -> None:
    mask = cutouts[0].mask
    assert mask[20, 20] == 255
    assert mask[0, 0] == 0
    assert np.any((mask > 0) & (mask < 255))
