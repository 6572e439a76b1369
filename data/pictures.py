"""Pictures that stay on disk until they are needed."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from data.images import Indices, Pixels

Rows = slice | Indices | npt.NDArray[np.bool_]


def digest(pixels: Pixels) -> bytes:
    """Return 32 bytes that are the same for pictures of the same size with the same pixels, and for no others.

    Args:
        pixels: shape (height, width, 3), uint8.
    """
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()


class Pictures:
    """A sequence of pictures of one size, put together from arrays that may be memory-mapped files.

    It is indexed like an array, along the first axis only. An index, slice, mask or array of indices loads these
    pictures and no others; `select` loads none.

    Args:
        parts: arrays of shape (n, height, width, 3), uint8 in [0, 255]; all of the same size. At least one.
    """

    def __init__(self, *parts: Pixels) -> None:
        self._parts = parts
        self._part = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        self._row = np.concatenate([np.arange(len(part)) for part in parts])

    def __len__(self) -> int:
        return len(self._row)

    def __iter__(self) -> Iterator[Pixels]:
        return (self._parts[part][row] for part, row in zip(self._part, self._row, strict=True))

    def __getitem__(self, rows: int | Rows) -> Pixels:
        part, row = self._part[rows], self._row[rows]
        if np.ndim(row) == 0:
            return np.asarray(self._parts[part][row])
        pixels = np.empty((len(row), *self.shape[1:]), np.uint8)
        for number in np.unique(part):
            pixels[part == number] = self._parts[number][row[part == number]]
        return pixels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of pictures, height, width, 3."""
        return (len(self), *self._parts[0].shape[1:])

    def chunks(self, size: int = 256) -> Iterator[Pixels]:
        """Yield all pictures in order, this many at a time; the last chunk may be smaller."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def select(self, rows: Rows) -> "Pictures":
        """Return some of the pictures, without loading them."""
        selected = Pictures(*self._parts)
        selected._part, selected._row = self._part[rows], self._row[rows]
        return selected

    def join(self, more: Sequence[Pixels]) -> "Pictures":
        """Return these pictures followed by others of the same size."""
        joined = Pictures(*self._parts, *more)
        known = sum(map(len, self._parts))
        joined._part = np.concatenate([self._part, joined._part[known:]])
        joined._row = np.concatenate([self._row, joined._row[known:]])
        return joined
