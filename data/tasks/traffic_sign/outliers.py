"""Outliers that only this task has: other signs, other numbers and scenes without a sign, all drawn."""

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.images import decode
from data.tasks.traffic_sign.drawing.other_signs import draw_empty_scene, draw_other_example
from data.tasks.traffic_sign.drawing.render import draw_example, draw_seen, limit

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def draw_other_signs(size: tuple[int, int], names: Sequence[str], count: int, seed: int) -> Pixels:
    """Draw real signs that are not among the 43, by their names, in turn.

    Returns:
        shape (count, height, width, 3), uint8.
    """
    rngs = [np.random.default_rng((seed, number)) for number in range(count)]
    return _stack([draw_other_example(names[n % len(names)], rng)[0] for n, rng in enumerate(rngs)], size)


def draw_numbers(size: tuple[int, int], numbers: Sequence[str], seed: int) -> Pixels:
    """Draw speed limits with given numbers as a camera may see them; shape (n, height, width, 3), uint8."""
    rngs = [np.random.default_rng((seed, number)) for number in range(len(numbers))]
    return _stack([draw_seen(partial(limit, digits), rng)[0] for digits, rng in zip(numbers, rngs, strict=True)], size)


def draw_scenes(size: tuple[int, int], count: int, seed: int) -> Pixels:
    """Draw scenes without any sign; shape (count, height, width, 3), uint8."""
    return _stack([draw_empty_scene(np.random.default_rng((seed, number))) for number in range(count)], size)


def draw_signs(size: tuple[int, int], class_index: Indices, seed: int) -> Pixels:
    """Draw signs of given classes as a camera may see them; shape (n, height, width, 3), uint8."""
    rngs = [np.random.default_rng((seed, number)) for number in range(len(class_index))]
    return _stack([draw_example(index, rng)[0] for index, rng in zip(class_index, rngs, strict=True)], size)


def _stack(images: list[Image.Image], size: tuple[int, int]) -> Pixels:
    """Bring drawings to one size by the way that every picture takes."""
    pixels = np.empty((len(images), *size, 3), np.uint8)
    for row, image in enumerate(images):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        pixels[row] = decode(buffer.getvalue(), size)
    return pixels
