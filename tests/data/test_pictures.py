"""Pictures in several arrays, indexed like one."""

from pathlib import Path

import numpy as np
import pytest

from data.images import Pixels
from data.pictures import Pictures


@pytest.fixture
def arrays() -> tuple[Pixels, Pixels]:
    whole = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)
    return whole[:4], whole[4:]


def test_pictures_are_indexed_like_one_array(arrays: tuple[Pixels, Pixels]) -> None:
    pictures, whole = Pictures(*arrays), np.concatenate(arrays)
    assert pictures.shape == whole.shape
    assert len(pictures) == 7
    for rows in (slice(None), slice(5, 2, -1), np.array([6, 0, 6, 3]), np.arange(7) % 2 == 0, np.empty(0, np.int64)):
        assert np.array_equal(pictures[rows], whole[rows])
        assert np.array_equal(pictures.select(rows)[:], whole[rows])
    assert np.array_equal(pictures[5], whole[5])
    assert np.array_equal(np.stack(list(pictures)), whole)
    assert np.array_equal(np.concatenate(list(pictures.chunks(3))), whole)
    rows = np.array([5, 1, 4])
    assert np.array_equal(pictures.select(rows).select(np.array([2, 0]))[:], whole[[4, 5]])
    assert np.array_equal(pictures.select(rows).join([arrays[0]])[:], np.concatenate([whole[rows], arrays[0]]))


def test_only_the_pictures_that_are_asked_for_are_loaded(tmp_path: Path) -> None:
    """A file with a hole of 30 GB can be used, though it fits neither into memory nor onto the disk."""
    count = 200_000
    file = np.lib.format.open_memmap(tmp_path / "pixels.npy", "w+", np.uint8, (count, 224, 224, 3))
    file[count - 1] = 7
    pictures = Pictures(file).select(np.array([count - 1, 0]))
    assert pictures[:].mean(axis=(1, 2, 3)).tolist() == [7, 0]
