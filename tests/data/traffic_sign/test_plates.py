"""Other numbers on photographed speed limits."""

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
WHOLE = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)


def test_numbers_of_the_signs_of_the_test_and_of_the_training_are_apart(task: Task) -> None:
    families = [*KNOWN, *OTHER, *TESTING, *TRAINING]
    assert len(set(families)) == len(families)
    assert all(task.labels[index].name == f"Speed limit ({digits}km/h)" for digits, index in KNOWN.items())


def test_half_of_the_numbers_are_limits_of_german_roads_and_those_of_the_test_come_only_if_asked() -> None:
    some, every = (choose_numbers(1300, np.random.default_rng(0), include_testing=testing) for testing in (False, True))
    assert sum(digits in OTHER for digits in some) == 650
    assert not set(some) & {*KNOWN, *TESTING}
    assert set(TESTING) <= set(every)
    lengths = np.bincount([len(digits) for digits in some if digits not in OTHER])
    assert np.allclose(lengths[1:] / 650, np.array([1, 8, 4]) / 13, atol=0.05)


def test_only_the_plate_is_written_on() -> None:
    pixels = draw_signs(SIZE, np.array([1, 5, 8]), seed=0)
    written = renumber(pixels, np.tile(WHOLE, (3, 1)), ["40", "7", "130"], np.random.default_rng(0))
    assert written.shape == pixels.shape
    assert written.dtype == np.uint8
    changed = (written != pixels).any(axis=(0, 3))
    assert changed[24, 14:34].any()
    assert not changed[:9].any()
    assert not changed[:, :9].any()


def test_another_number_is_another_picture_of_about_the_same_light() -> None:
    pixels = draw_signs(SIZE, np.full(40, 5), seed=1)
    written = renumber(pixels, np.tile(WHOLE, (40, 1)), ["46"] * 40, np.random.default_rng(1))
    inner = np.s_[:, 16:32, 16:32]
    before, after = (side[inner].mean(axis=(1, 2, 3)) for side in (pixels, written))
    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert (np.abs(written[inner].astype(int) - pixels[inner]).mean(axis=(1, 2, 3)) > 3).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_picture_of_one_shade_is_written_on_without_failing(shade: int) -> None:
    pixels = np.full((1, *SIZE, 3), shade, np.uint8)
    assert renumber(pixels, WHOLE, ["40"], np.random.default_rng(0)).shape == pixels.shape


def test_only_speed_limits_are_chosen_and_the_same_seed_gives_the_same() -> None:
    pixels = draw_signs(SIZE, np.arange(43), seed=0)
    boxes = np.tile(WHOLE, (43, 1))
    first, again, other = (renumber_some(pixels, boxes, np.arange(43), ["40"] * 12, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    limits = pixels[list(KNOWN.values())]
    for picture in first:
        assert (picture[:9] == limits[:, :9]).all(axis=(1, 2, 3)).any()
    assert renumber_some(pixels[9:12], boxes[9:12], np.array([9, 10, 11]), ["40"], 0).shape == (0, *SIZE, 3)
