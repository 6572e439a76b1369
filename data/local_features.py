"""Find out whether two pictures show the same photo, turned, moved, enlarged, mirrored or with other colours.

Corners (Harris & Stephens 1988) at three scales are described by the grey values around them, turned to the direction
in which the picture gets brighter (multi-scale oriented patches; Brown, Szeliski & Winder 2005). Pictures with many
alike corners are compared: they are the same photo if one affine map explains where enough of the corners are and, if
these are few, the pictures look alike where that map lays them on each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.images import Pixels

_SIDES = (128, 90, 64)  # pixels of a side at which corners are looked for
_CORNERS = (40, 24, 14)  # per picture, for each side
_PATCH = 8  # grey values along each side of a patch
_SPACING = 2.5  # pixels between them
_MARGIN = 7  # pixels; corners nearer to the edge lack too much of their patch
_LEAST_CONTRAST = 0.5  # of a corner; less is noise
_BATCH = 64  # pictures at a time, which takes about 100 MB
_WORDS = 2048  # corners that stand for kinds of corners when pictures are compared at large
_PROPOSED = 12  # pictures that each picture is compared with
_ALIKE = 0.8  # correlation of two patches from which on they may show the same corner
_NEAR = 0.04  # distance within which a map hits a corner, as a fraction of the side
# Of 581 altered copies among 900 pictures of jellyfish, 580 have this many corners in common with another copy. Of
# 1,400 different photos of food, no two have more than 9, unless they show the same dish.
_LEAST_COMMON = 15
_CERTAIN_COMMON = 30  # that need no further proof; photos of one person with the same gesture have up to 23
# Area that the common corners must span, as a fraction of the picture: a watermark does not count.
_LEAST_AREA = 0.08
_GREY_SIDE = 64  # pixels of a side of the pictures that are laid on each other
# Correlation of these pictures. Altered copies of photos have 0.94 and more, photos of one person with the same gesture
# on different days 0.9 and less.
_LEAST_CORRELATION = 0.93

_Floats = npt.NDArray[np.float32]
_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Features:
    """The corners of n pictures; k for each, of which some may be missing.

    Attributes:
        patches: grey values around the corner with mean 0 and norm 1, shape (n, k, 8, 8), float16.
        points: positions x + iy as fractions of the width and the height, shape (n, k), complex64.
        turns: directions of the patches in radians, shape (n, k), float32.
        scales: lengths of a pixel as fractions of the side, shape (n, k), float32.
        found: which corners are there, shape (n, k).
        grey: the smoothed picture, shape (n, 64, 64), float16 in [0, 255].
    """

    patches: npt.NDArray[np.float16]
    points: npt.NDArray[np.complex64]
    turns: _Floats
    scales: _Floats
    found: npt.NDArray[np.bool_]
    grey: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.points)


def extract_features(pixels: Pixels) -> Features:
    """Find and describe the corners of pictures; about 300 pictures per second on two cores.

    Args:
        pixels: shape (n, height, width, 3), uint8 in [0, 255].
    """
    parts = [_extract(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    return Features(*(np.concatenate([part[column] for part in parts]) for column in range(6)))


def propose_pairs(features: Features) -> Iterator[tuple[int, int, bool]]:
    """Yield pairs of pictures that have alike corners, the most alike first: two rows, and whether one is mirrored."""
    if not features.found.any():
        return
    rng = np.random.default_rng(0)
    patches = features.patches.reshape(-1, _PATCH**2)
    there = np.flatnonzero(features.found)
    words = patches[rng.choice(there, min(_WORDS, len(there)), replace=False)].astype(np.float32)
    plain, mirrored = (_count_words(features, words, flip) for flip in (False, True))
    weights = np.log((len(features) + 1) / ((plain > 0).sum(axis=0) + 1)).astype(np.float32)
    plain, mirrored = (_unit(np.sqrt(counts) * weights) for counts in (plain, mirrored))
    proposals = []
    for start in range(0, len(features), _BATCH):
        for flip, others in ((False, plain), (True, mirrored)):
            alike = plain[start : start + _BATCH] @ others.T
            alike[np.arange(len(alike)), np.arange(start, start + len(alike))] = -1
            nearest = np.argpartition(-alike, min(_PROPOSED, len(others) - 1), axis=1)[:, :_PROPOSED]
            for row, columns in enumerate(nearest.tolist(), start=start):
                proposals += [(-float(alike[row - start, column]), row, column, flip) for column in columns]
    seen = set()
    for _, row, column, flip in sorted(proposals):
        pair = (min(row, column), max(row, column), flip)
        if pair not in seen and row != column:
            seen.add(pair)
            yield pair


def show_same_photo(features: Features, one: int, other: int, *, mirrored: bool) -> bool:
    """Return whether two pictures show the same photo.

    Args:
        features: the corners of the pictures.
        one, other: rows of the pictures.
        mirrored: whether to compare with the mirror image of the other.
    """
    patches = features.patches[other][:, ::-1] if mirrored else features.patches[other]
    alike = features.patches[one].reshape(-1, _PATCH**2).astype(np.float32) @ (
        patches.reshape(-1, _PATCH**2).astype(np.float32).T
    )
    alike[~features.found[one]] = -1
    alike[:, ~features.found[other]] = -1
    partner = alike.argmax(axis=1)
    rows = np.arange(len(partner))
    rows = rows[(alike[rows, partner] > _ALIKE) & (alike.argmax(axis=0)[partner] == rows)]
    if len(rows) < _LEAST_COMMON:
        return False
    columns = partner[rows]
    here, there = features.points[one][rows], features.points[other][columns]
    turns = features.turns[other][columns]
    if mirrored:
        there, turns = 1 - there.conj(), np.pi - turns
    # Each pair of corners tells a map by itself: where, how far turned, and how much larger.
    factors = (
        features.scales[one][rows] / features.scales[other][columns] * np.exp(1j * (features.turns[one][rows] - turns))
    )
    missed = np.abs((there - there[:, None]) * factors[:, None] + here[:, None] - here)
    hit = missed < 2.5 * _NEAR  # the map is still rough
    hit = hit[hit.sum(axis=1).argmax()]
    homogeneous = np.stack([there.real, there.imag, np.ones(len(there))], axis=1)
    targets = np.stack([here.real, here.imag], axis=1)
    for _ in range(3):
        if hit.sum() < _LEAST_COMMON:
            return False
        affine, *_ = np.linalg.lstsq(homogeneous[hit], targets[hit], rcond=None)
        hit = np.linalg.norm(homogeneous @ affine - targets, axis=1) < _NEAR
    if hit.sum() < _LEAST_COMMON or np.prod(np.ptp(targets[hit], axis=0)) < _LEAST_AREA:
        return False
    if hit.sum() >= _CERTAIN_COMMON:
        return True
    grey = features.grey[other][:, ::-1] if mirrored else features.grey[other]
    return _correlate(features.grey[one], grey, affine) > _LEAST_CORRELATION


def _correlate(one: npt.NDArray[np.float16], other: npt.NDArray[np.float16], affine: npt.NDArray[np.float64]) -> float:
    """Return the correlation of two grey pictures where they overlap.

    Args:
        one, other: shape (side, side).
        affine: maps positions (x, y, 1) in the other to (x, y) in the one, as fractions of the sides; shape (3, 2).
    """
    side = len(one)
    x, y = (part.ravel() / side for part in np.meshgrid(np.arange(0.5, side), np.arange(0.5, side)))
    mapped = np.stack([x, y, np.ones(len(x))], axis=1) @ affine
    inside = ((mapped > 0) & (mapped < 1)).all(axis=1)
    if inside.mean() < _LEAST_AREA:
        return 0.0
    columns, rows = (mapped[inside] * side - 0.5).T
    here = _sample(one[None].astype(np.float32), np.zeros(len(rows), np.int64), columns, rows)
    there = other.ravel()[inside].astype(np.float32)
    return float(np.nan_to_num(np.corrcoef(here, there)[0, 1])) if np.ptp(here) and np.ptp(there) else 0.0


def _extract(pixels: Pixels) -> tuple[npt.NDArray[np.generic], ...]:
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    levels = [_extract_at(resample(grey, side), count) for side, count in zip(_SIDES, _CORNERS, strict=True)]
    small = _blur(resample(grey, _GREY_SIDE), 1.0).astype(np.float16)
    return *(np.concatenate([level[column] for level in levels], axis=1) for column in range(5)), small


def _extract_at(grey: _Floats, count: int) -> tuple[npt.NDArray[np.generic], ...]:
    """Return patches, points, turns, scales and which are there, of the strongest corners of square grey pictures."""
    side = grey.shape[1]
    smooth = _blur(grey, 1.0)
    down, right = np.zeros_like(smooth), np.zeros_like(smooth)
    down[:, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    right[:, :, 1:-1] = smooth[:, :, 2:] - smooth[:, :, :-2]
    xx, yy, xy = _blur(right * right, 2.0), _blur(down * down, 2.0), _blur(right * down, 2.0)
    strength = (xx * yy - xy * xy) / (xx + yy + 1e-3)
    strength[(strength < _local_maximum(strength, 3)) | (strength < _LEAST_CONTRAST)] = 0
    inner = strength[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    flat = inner.reshape(len(grey), -1)
    place = np.argpartition(-flat, count, axis=1)[:, :count]
    found = np.take_along_axis(flat, place, axis=1) > 0
    y, x = (part + _MARGIN for part in np.divmod(place, inner.shape[2]))
    rows = np.arange(len(grey))[:, None]
    turns = np.arctan2(_blur(down, 4.0)[rows, y, x], _blur(right, 4.0)[rows, y, x])
    offsets = (np.arange(_PATCH) - (_PATCH - 1) / 2) * _SPACING
    # Rows of a patch run across its direction, columns along it; turning the order of the rows mirrors it.
    along, across = np.meshgrid(offsets, offsets)
    where = x + 1j * y
    where = where[..., None, None] + np.exp(1j * turns)[..., None, None] * (along + 1j * across)
    patches = _sample(_blur(smooth, 1.3), rows[..., None, None], where.real, where.imag)
    patches -= patches.mean(axis=(2, 3), keepdims=True)
    patches /= np.maximum(np.linalg.norm(patches, axis=(2, 3), keepdims=True), 1e-3)
    points = ((x + 0.5 + 1j * (y + 0.5)) / side).astype(np.complex64)
    scales = np.full(points.shape, 1 / side, np.float32)
    return patches.astype(np.float16), points, turns.astype(np.float32), scales, found


def _sample(pictures: _Floats, rows: _Rows, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> _Floats:
    """Return bilinear samples at columns x and rows y; positions outside move to the edge."""
    side = pictures.shape[1]
    x, y = np.clip(x, 0, side - 1.001), np.clip(y, 0, side - 1.001)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = pictures[rows, top, left] * (1 - right) + pictures[rows, top, left + 1] * right
    lower = pictures[rows, top + 1, left] * (1 - right) + pictures[rows, top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _local_maximum(values: _Floats, reach: int) -> _Floats:
    """Return the largest value within `reach` pixels along both axes."""
    side = values.shape[1]
    padded = np.pad(values, ((0, 0), (reach, reach), (reach, reach)), constant_values=-1)
    rows = np.maximum.reduce([padded[:, start : start + side] for start in range(2 * reach + 1)])
    largest: _Floats = np.maximum.reduce([rows[:, :, start : start + side] for start in range(2 * reach + 1)])
    return largest


def resample(pictures: _Floats, side: int) -> _Floats:
    """Resize grey pictures to squares: means when they get smaller, linear interpolation when they get larger.

    Args:
        pictures: shape (n, height, width), float32.
        side: of the result, in pixels.
    """
    height, width = pictures.shape[1:]
    return np.asarray(_resampling(height, side) @ pictures @ _resampling(width, side).T)


def _resampling(length: int, side: int) -> _Floats:
    """Return the matrix (side, length) that resizes one axis."""
    step = length / side
    centre = (np.arange(side)[:, None] + 0.5) * step - 0.5
    weights = np.clip(max(step, 1.0) / 2 + 0.5 - np.abs(np.arange(length)[None] - np.clip(centre, 0, length - 1)), 0, 1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _blur(pictures: _Floats, deviation: float) -> _Floats:
    """Blur square pictures with a Gaussian whose standard deviation is given in pixels."""
    position = np.arange(pictures.shape[1])
    weights = np.exp(-0.5 * ((position[:, None] - position[None]) / deviation) ** 2)
    normalised = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    blurred: _Floats = normalised @ pictures @ normalised.T
    return blurred


def _count_words(features: Features, words: _Floats, flip: bool) -> _Floats:
    """Return how often each picture's corners resemble each word, shape (n, words); each corner counts for two."""
    counts = np.zeros((len(features), len(words)), np.float32)
    for start in range(0, len(features), _BATCH):
        patches = features.patches[start : start + _BATCH]
        patches = patches[:, :, ::-1] if flip else patches
        found = features.found[start : start + _BATCH]
        alike = patches.reshape(*found.shape, -1)[found].astype(np.float32) @ words.T
        two = np.argpartition(-alike, min(2, len(words) - 1), axis=1)[:, :2]
        rows = np.nonzero(found)[0] + start
        np.add.at(counts, (rows[:, None], two), 1)
    return counts


def _unit(rows: _Floats) -> _Floats:
    unit: _Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit
