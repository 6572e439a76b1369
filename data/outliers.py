"""Outliers made from examples: pictures that show none of the classes.

Some objects no longer belong to any class when they are mirrored or turned by 90 degrees; the task file lists their
classes. Jigsaws, swapped colour channels and scrambled textures keep the statistics of an example but not its meaning.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from data.images import Indices, Pixels
from data.task import Task


def make_outliers(task: Task, pixels: Pixels, class_index: Indices, count: int, seed: int) -> Pixels:
    """Turn examples of the classes into outliers.

    Args:
        task: its `outliers` list the classes that may be mirrored or turned.
        pixels: the examples, shape (n, height, width, 3), uint8 in [0, 255].
        class_index: their classes, shape (n,).
        count: number of outliers.
        seed: random seed.

    Returns:
        Shape (count, height, width, 3), uint8 in [0, 255], in random order.
    """
    rng = np.random.default_rng(seed)
    all_rows = np.arange(len(class_index))
    mirrored = np.flatnonzero(np.isin(class_index, task.outliers.mirrored))
    turned = np.flatnonzero(np.isin(class_index, task.outliers.turned))
    changes: list[tuple[Indices, Callable[[Pixels], Pixels]]] = [
        (all_rows, partial(jigsaw, pieces=2, rng=rng)),
        (all_rows, partial(jigsaw, pieces=3, rng=rng)),
        (all_rows, partial(scramble, rng=rng)),
    ]
    if len(mirrored):
        changes += [(mirrored, mirror)] * 3
    if len(turned):
        changes += [(turned, partial(turn, quarters=1)), (turned, partial(turn, quarters=3))] * 2
    coloured = np.flatnonzero(_is_colourful(pixels))
    if len(coloured):
        changes.append((coloured, partial(recolour, rng=rng)))
    counts = np.diff(np.linspace(0, count, len(changes) + 1).round().astype(int))
    outliers = [
        change(pixels[rng.choice(rows, number)]) for (rows, change), number in zip(changes, counts, strict=True)
    ]
    return rng.permutation(np.concatenate(outliers))


def mirror(pixels: Pixels) -> Pixels:
    """Mirror pictures left to right.

    Args:
        pixels: shape (n, height, width, 3), as is the result.
    """
    return pixels[:, :, ::-1]


def turn(pixels: Pixels, quarters: int) -> Pixels:
    """Rotate square pictures counter-clockwise.

    Args:
        pixels: shape (n, side, side, 3), as is the result.
        quarters: number of quarter turns.
    """
    return np.rot90(pixels, quarters, axes=(1, 2))


def jigsaw(pixels: Pixels, pieces: int, rng: np.random.Generator) -> Pixels:
    """Cut each picture into `pieces` × `pieces` tiles and move every tile to another place.

    Args:
        pixels: shape (n, height, width, 3), as is the result.
        pieces: tiles per side; if a side is not a multiple of it, the remaining pixels stay in place.
        rng: random generator.
    """
    count = len(pixels)
    tile_height, tile_width = (side // pieces for side in pixels.shape[1:3])
    height, width = tile_height * pieces, tile_width * pieces
    tiles = (
        pixels[:, :height, :width]
        .reshape(count, pieces, tile_height, pieces, tile_width, 3)
        .swapaxes(2, 3)
        .reshape(count, pieces**2, tile_height, tile_width, 3)
    )
    shift = rng.integers(1, pieces**2, (count, 1))
    order = (np.arange(pieces**2) + shift) % pieces**2
    shuffled: Pixels = tiles[np.arange(count)[:, None], order].reshape(
        count, pieces, pieces, tile_height, tile_width, 3
    )
    result = pixels.copy()
    result[:, :height, :width] = shuffled.swapaxes(2, 3).reshape(count, height, width, 3)
    return result


def recolour(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Rotate the colour channels of each picture, which turns red signs green or blue.

    Args:
        pixels: shape (n, height, width, 3), as is the result.
        rng: random generator; it decides the direction for each picture.
    """
    forward = rng.random(len(pixels)) < 0.5
    return np.where(forward[:, None, None, None], np.roll(pixels, 1, axis=3), np.roll(pixels, -1, axis=3))


def _is_colourful(pixels: Pixels, spread: int = 60, share: float = 0.2) -> npt.NDArray[np.bool_]:
    """Return which pictures have enough colour for `recolour` to be visible, shape (n,).

    Args:
        pixels: shape (n, height, width, 3), uint8 in [0, 255].
        spread: difference between the largest and smallest channel above which a pixel has colour.
        share: fraction of the pixels that must have colour.
    """
    return np.asarray((np.ptp(pixels, axis=3) > spread).mean(axis=(1, 2)) > share)


def scramble(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Randomise the phases of each picture's spectrum, which keeps its texture but not its shapes.

    Args:
        pixels: shape (n, height, width, 3), uint8 in [0, 255], as is the result.
        rng: random generator.
    """
    spectrum = np.fft.rfft2(pixels.astype(np.float32), axes=(1, 2))
    noise = np.fft.rfft2(rng.standard_normal(pixels.shape[:3], np.float32), axes=(1, 2))
    phase = np.exp(1j * np.angle(noise))[..., None]
    phase[:, 0, 0] = 1  # the mean colour stays
    return np.clip(np.fft.irfft2(spectrum * phase, pixels.shape[1:3], axes=(1, 2)), 0, 255).round().astype(np.uint8)
