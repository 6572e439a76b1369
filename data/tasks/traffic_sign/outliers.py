"""Drawn outliers of this task: other signs, other numbers and scenes without a sign."""

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL import Image

from data.images import Indices, Pixels, decode
from data.tasks.traffic_sign.drawing.other_signs import draw_empty_scene, draw_other_example
from data.tasks.traffic_sign.drawing.render import draw_example, draw_in_scene, speed_limit


def draw_other_signs(size: tuple[int, int], names: Sequence[str], count: int, seed: int) -> Pixels:
    """Draw other signs, cycling through their names.

    Args:
        size: (height, width) of the result in pixels.
        names: names of signs in `other_signs`.
        count: number of pictures.
        seed: random seed.

    Returns:
        Shape (count, height, width, 3), uint8 in [0, 255].

    Raises:
        ValueError: a name is unknown.
    """
    rngs = [np.random.default_rng((seed, number)) for number in range(count)]
    return _stack([draw_other_example(names[n % len(names)], rng)[0] for n, rng in enumerate(rngs)], size)


def draw_numbers(size: tuple[int, int], numbers: Sequence[str], seed: int) -> Pixels:
    """Draw speed limits with the given numbers as in photos; shape (n, height, width, 3), uint8 in [0, 255]."""
    rngs = [np.random.default_rng((seed, number)) for number in range(len(numbers))]
    return _stack(
        [draw_in_scene(partial(speed_limit, digits), rng)[0] for digits, rng in zip(numbers, rngs, strict=True)], size
    )


def draw_scenes(size: tuple[int, int], count: int, seed: int) -> Pixels:
    """Draw scenes without a sign; shape (count, height, width, 3), uint8 in [0, 255]."""
    return _stack([draw_empty_scene(np.random.default_rng((seed, number))) for number in range(count)], size)


def draw_signs(size: tuple[int, int], class_index: Indices, seed: int) -> Pixels:
    """Draw signs of the given classes as in photos; shape (n, height, width, 3), uint8 in [0, 255]."""
    rngs = [np.random.default_rng((seed, number)) for number in range(len(class_index))]
    return _stack([draw_example(index, rng)[0] for index, rng in zip(class_index, rngs, strict=True)], size)


def _stack(images: list[Image.Image], size: tuple[int, int]) -> Pixels:
    """Resize drawings with the decoder that all pictures go through; shape (n, height, width, 3), uint8."""
    pixels = np.empty((len(images), *size, 3), np.uint8)
    for row, image in enumerate(images):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        pixels[row] = decode(buffer.getvalue(), size)
    return pixels
