"""Other numbers on photos of speed limits."""

import numpy as np
import pytest

from data.task import Task
from data.tasks.traffic_sign.drawing.plates import (
    KNOWN,
    OTHER,
    TESTING,
    TRAINING,
    choose_numbers,
    renumber,
    renumber_some,
)
from data.tasks.traffic_sign.outliers import draw_signs

SIZE = (48, 48)
BOX = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)


def test_sets_of_numbers_are_disjoint(task: Task) -> None:
    numbers = [*KNOWN, *OTHER, *TESTING, *TRAINING]
    assert len(set(numbers)) == len(numbers)
    assert all(task.labels[index].name == f"Speed limit ({digits}km/h)" for digits, index in KNOWN.items())


def test_half_of_the_numbers_are_real_limits_and_testing_numbers_are_optional() -> None:
    some, every = (choose_numbers(1300, np.random.default_rng(0), include_testing=testing) for testing in (False, True))
    assert sum(digits in OTHER for digits in some) == 650
    assert not set(some) & {*KNOWN, *TESTING}
    assert set(TESTING) <= set(every)
    lengths = np.bincount([len(digits) for digits in some if digits not in OTHER])
    assert np.allclose(lengths[1:] / 650, np.array([1, 8, 4]) / 13, atol=0.05)


def test_only_the_plate_changes() -> None:
    pixels = draw_signs(SIZE, np.array([1, 5, 8]), seed=0)
    written = renumber(pixels, np.tile(BOX, (3, 1)), ["40", "7", "130"], np.random.default_rng(0))
    assert written.shape == pixels.shape
    assert written.dtype == np.uint8
    changed = (written != pixels).any(axis=(0, 3))
    assert changed[24, 14:34].any()
    assert not changed[:9].any()
    assert not changed[:, :9].any()


def test_new_number_changes_the_picture_but_not_its_brightness() -> None:
    pixels = draw_signs(SIZE, np.full(40, 5), seed=1)
    written = renumber(pixels, np.tile(BOX, (40, 1)), ["46"] * 40, np.random.default_rng(1))
    inner = np.s_[:, 16:32, 16:32]
    before, after = (pictures[inner].mean(axis=(1, 2, 3)) for pictures in (pixels, written))
    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert (np.abs(written[inner].astype(int) - pixels[inner]).mean(axis=(1, 2, 3)) > 3).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_picture_of_a_single_shade_can_be_renumbered(shade: int) -> None:
    pixels = np.full((1, *SIZE, 3), shade, np.uint8)
    assert renumber(pixels, BOX, ["40"], np.random.default_rng(0)).shape == pixels.shape


def test_only_speed_limits_are_chosen_and_the_choice_depends_on_the_seed() -> None:
    pixels = draw_signs(SIZE, np.arange(43), seed=0)
    boxes = np.tile(BOX, (43, 1))
    first, again, other = (renumber_some(pixels, boxes, np.arange(43), ["40"] * 12, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    limits = pixels[list(KNOWN.values())]
    for picture in first:
        assert (picture[:9] == limits[:, :9]).all(axis=(1, 2, 3)).any()
    assert renumber_some(pixels[9:12], boxes[9:12], np.array([9, 10, 11]), ["40"], 0).shape == (0, *SIZE, 3)
