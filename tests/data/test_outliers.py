"""Outliers made from examples."""

import numpy as np
import numpy.typing as npt
import pytest

from data.outliers import jigsaw, make_outliers, mirror, recolour, scramble, turn
from data.task import Task
from data.tasks.traffic_sign.outliers import draw_signs

SIZE = (48, 48)


@pytest.fixture(scope="module")
def signs() -> npt.NDArray[np.uint8]:
    """Return one drawing of each class."""
    return draw_signs(SIZE, np.arange(43), seed=0)


def test_outliers_have_the_requested_count_and_depend_on_the_seed(signs: npt.NDArray[np.uint8], task: Task) -> None:
    first, again, other = (make_outliers(task, signs, np.arange(43), 101, seed) for seed in (1, 1, 2))
    assert first.shape == (101, *SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_only_the_classes_of_the_task_file_are_mirrored_or_turned(signs: npt.NDArray[np.uint8], task: Task) -> None:
    """A turned priority road is unchanged, keep right turned is keep left, and a mirrored bend is the other bend."""
    changed = [*mirror(signs), *turn(signs, 1), *turn(signs, 3)]
    classes = [*range(43)] * 3
    outliers = make_outliers(task, signs, np.arange(43), 600, seed=0)
    used_classes = {
        index
        for outlier in outliers
        for index, picture in zip(classes, changed, strict=True)
        if np.array_equal(outlier, picture)
    }
    assert used_classes
    assert not used_classes & {12, 15, 38, 39, 40} - set(task.outliers.mirrored)
    assert not used_classes - set(task.outliers.mirrored) - set(task.outliers.turned)


def test_fewer_outliers_than_kinds_can_be_made(task: Task, signs: npt.NDArray[np.uint8]) -> None:
    assert make_outliers(task, signs, np.arange(43), 2, seed=0).shape == (2, *signs.shape[1:])


def test_jigsaw_moves_every_tile_and_keeps_all_pixels(signs: npt.NDArray[np.uint8]) -> None:
    for pieces in (2, 3):
        cut = jigsaw(signs, pieces, np.random.default_rng(0))
        side = SIZE[0] // pieces
        for before, after in zip(signs, cut, strict=True):
            assert np.array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
            for row in range(0, SIZE[0], side):
                for column in range(0, SIZE[1], side):
                    place = np.s_[row : row + side, column : column + side]
                    assert not np.array_equal(before[place], after[place])


def test_jigsaw_keeps_the_remainder_of_indivisible_sides_in_place(signs: npt.NDArray[np.uint8]) -> None:
    cut = jigsaw(signs[:, :47, :46], 3, np.random.default_rng(0))
    assert cut.shape == (43, 47, 46, 3)
    assert np.array_equal(cut[:, 45:], signs[:, 45:47, :46])
    assert not np.array_equal(cut[:, :45, :45], signs[:, :45, :45])


def test_recolouring_permutes_the_channels(signs: npt.NDArray[np.uint8]) -> None:
    changed = recolour(signs, np.random.default_rng(0))
    assert np.array_equal(np.sort(changed, axis=3), np.sort(signs, axis=3))
    assert not any(np.array_equal(before, after) for before, after in zip(signs, changed, strict=True))


def test_scrambling_keeps_the_mean_colour_but_not_the_shape(signs: npt.NDArray[np.uint8]) -> None:
    scrambled = scramble(signs, np.random.default_rng(0)).astype(float)
    assert np.abs(scrambled.mean(axis=(1, 2)) - signs.mean(axis=(1, 2))).mean() < 12
    assert np.abs(scrambled - signs).mean() > 20
