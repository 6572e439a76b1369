"""Outliers made from examples: pictures of none of the classes, to learn doubt from.

An object that is mirrored or rotated by a quarter turn may stop belonging to any class; the task file lists the classes
to which that applies. A jigsaw has the colours and edges of an example but no meaning, and so has one in other colours.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from data.task import Task

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def make_outliers(task: Task, pixels: Pixels, class_index: Indices, count: int, seed: int) -> Pixels:
    """Make pictures that are none of the task's classes, out of some that are.

    Args:
        task: names the classes that may be mirrored or turned.
        pixels: shape (n, height, width, 3), uint8; class_index: shape (n,).
        count: how many to make.
        seed: the same seed gives the same pictures.

    Returns:
        shape (count, height, width, 3), uint8, in random order.
    """
    rng = np.random.default_rng(seed)
    everything = np.arange(len(class_index))
    mirrored = np.flatnonzero(np.isin(class_index, task.outliers.mirrored))
    turned = np.flatnonzero(np.isin(class_index, task.outliers.turned))
    ways: list[tuple[Indices, Callable[[Pixels], Pixels]]] = [
        (everything, partial(jigsaw, pieces=2, rng=rng)),
        (everything, partial(jigsaw, pieces=3, rng=rng)),
        (everything, partial(scramble, rng=rng)),
    ]
    if len(mirrored):
        ways += [(mirrored, mirror)] * 3
    if len(turned):
        ways += [(turned, partial(turn, quarters=1)), (turned, partial(turn, quarters=3))] * 2
    coloured = np.flatnonzero(_colourful(pixels))
    if len(coloured):
        ways.append((coloured, partial(recolour, rng=rng)))
    shares = np.diff(np.linspace(0, count, len(ways) + 1).round().astype(int))
    made = [change(pixels[rng.choice(rows, share)]) for (rows, change), share in zip(ways, shares, strict=True)]
    return rng.permutation(np.concatenate(made))


def mirror(pixels: Pixels) -> Pixels:
    """Mirror pictures left to right; shape (n, height, width, 3) in and out."""
    return pixels[:, :, ::-1]


def turn(pixels: Pixels, quarters: int) -> Pixels:
    """Turn square pictures counter-clockwise by quarters; shape (n, side, side, 3) in and out."""
    return np.rot90(pixels, quarters, axes=(1, 2))


def jigsaw(pixels: Pixels, pieces: int, rng: np.random.Generator) -> Pixels:
    """Cut each picture into pieces × pieces and lay them so that none is where it was.

    Shape (n, height, width, 3) in and out; what is left where a side is no multiple of `pieces` stays.
    """
    count = len(pixels)
    high, wide = (side // pieces for side in pixels.shape[1:3])
    height, width = high * pieces, wide * pieces
    tiles = (
        pixels[:, :height, :width]
        .reshape(count, pieces, high, pieces, wide, 3)
        .swapaxes(2, 3)
        .reshape(count, pieces**2, high, wide, 3)
    )
    shift = rng.integers(1, pieces**2, (count, 1))
    order = (np.arange(pieces**2) + shift) % pieces**2
    laid: Pixels = tiles[np.arange(count)[:, None], order].reshape(count, pieces, pieces, high, wide, 3)
    result = pixels.copy()
    result[:, :height, :width] = laid.swapaxes(2, 3).reshape(count, height, width, 3)
    return result


def recolour(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Give each picture's red, green and blue to the next or to the one before: red signs turn green or blue.

    Shape (n, height, width, 3) in and out.
    """
    forward = rng.random(len(pixels)) < 0.5
    return np.where(forward[:, None, None, None], np.roll(pixels, 1, axis=3), np.roll(pixels, -1, axis=3))


def _colourful(pixels: Pixels, spread: int = 60, share: float = 0.2) -> npt.NDArray[np.bool_]:
    """Say of each picture whether a share of its pixels is so far from grey that another colour would be seen."""
    return np.asarray((np.ptp(pixels, axis=3) > spread).mean(axis=(1, 2)) > share)


def scramble(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Keep each picture's spectrum and draw its phases anew: its texture without its shapes.

    Shape (n, height, width, 3) in and out.
    """
    spectrum = np.fft.rfft2(pixels.astype(np.float32), axes=(1, 2))
    noise = np.fft.rfft2(rng.standard_normal(pixels.shape[:3], np.float32), axes=(1, 2))
    phase = np.exp(1j * np.angle(noise))[..., None]
    phase[:, 0, 0] = 1  # the mean colour stays
    return np.clip(np.fft.irfft2(spectrum * phase, pixels.shape[1:3], axes=(1, 2)), 0, 255).round().astype(np.uint8)
