"""Photos of speed limits with other numbers, as outliers that look as similar to the classes as possible.

The number on a photographed plate is replaced, so that light, blur, noise and rim stay those of the photo. Numbers of
the 43 signs are written too; otherwise the network learns "rewritten" = "unknown".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.images import Boxes, Indices, Pixels
from data.tasks.traffic_sign.drawing.pictograms import Point, Sketch, speed
from data.tasks.traffic_sign.drawing.render import FloatPixels

KNOWN: Final = {"20": 0, "30": 1, "50": 2, "60": 3, "70": 4, "80": 5, "100": 7, "120": 8}  # number: class
OTHER: Final = ("5", "10", "40", "90", "110", "130")  # the other speed limits on German roads
TESTING: Final = ("15", "45", "85", "150", "160", "180")  # held out for testing; no road has them
TRAINING: Final = tuple(str(n) for n in range(1, 200) if str(n) not in {*KNOWN, *OTHER, *TESTING})

VERSION: Final = 1  # raise it whenever the same seed gives different pictures
SUPERSAMPLING: Final = 4
PLATE_RADIUS: Final = 0.70  # of the white disc, as a fraction of the sign's radius; the rim starts at 0.72


def choose_numbers(count: int, rng: np.random.Generator, *, include_testing: bool) -> list[str]:
    """Choose numbers for outliers, in random order: half real other limits, half invented numbers.

    Invented numbers have one, two or three digits in the ratio 1 : 8 : 4.

    Args:
        count: how many numbers to choose.
        rng: random generator.
        include_testing: whether to choose from `TESTING` too.
    """
    numbers = TRAINING + TESTING if include_testing else TRAINING
    lengths = np.array([len(digits) for digits in numbers])
    weights = np.array([0, 1, 8, 4])[lengths] / np.bincount(lengths)[lengths]
    invented = rng.choice(numbers, count - count // 2, p=weights / weights.sum())
    return list(rng.permutation([*rng.choice(OTHER, count // 2), *invented]))


def renumber_some(pixels: Pixels, boxes: Boxes, class_index: Indices, numbers: Sequence[str], seed: int) -> Pixels:
    """Write each number on a randomly chosen photo of a speed limit.

    Args:
        pixels: shape (n, side, side, 3), uint8 in [0, 255].
        boxes: boxes of the signs, shape (n, 4); see `renumber`.
        class_index: shape (n,).
        numbers: m numbers of up to three digits.
        seed: random seed.

    Returns:
        Shape (m, side, side, 3), uint8 in [0, 255]; (0, side, side, 3) if no photo shows a speed limit.
    """
    limits = np.flatnonzero(np.isin(class_index, list(KNOWN.values())))
    if not len(limits):
        return pixels[:0]
    rng = np.random.default_rng(seed)
    rows = rng.choice(limits, len(numbers))
    return renumber(pixels[rows], boxes[rows], numbers, rng)


def renumber(pixels: Pixels, boxes: Boxes, numbers: Sequence[str], rng: np.random.Generator) -> Pixels:
    """Replace the numbers on photos of speed limits.

    Args:
        pixels: photos of speed limits, shape (n, side, side, 3), uint8 in [0, 255].
        boxes: box around each sign: left, top, right, bottom as fractions of the picture; shape (n, 4), float32.
        numbers: n numbers of up to three digits.
        rng: random generator; it decides how each number is written.

    Returns:
        Shape (n, side, side, 3), uint8 in [0, 255].
    """
    result = np.empty_like(pixels)
    for row, digits in enumerate(numbers):
        result[row] = _renumber_photo(pixels[row].astype(np.float32), boxes[row], digits, rng)
    return result


def _renumber_photo(photo: FloatPixels, box: Boxes, digits: str, rng: np.random.Generator) -> FloatPixels:
    """Replace the number on one photo, shape (side, side, 3), with the box of its sign, shape (4,)."""
    side = len(photo)
    left, top, right, bottom = box * side
    centre = (left + right) / 2, (top + bottom) / 2
    half = (right - left) / 2, (bottom - top) / 2
    grid = (np.mgrid[:side, :side].transpose(1, 2, 0)[..., ::-1] + 0.5 - centre) / half
    radius = np.hypot(grid[..., 0], grid[..., 1])
    plate = radius < PLATE_RADIUS - 0.06
    light = photo.mean(axis=2)
    dark, bright = np.quantile(light[plate], (0.05, 0.9))
    white = plate & (light >= dark + 0.65 * (bright - dark))
    # The light on a plate varies linearly, so the empty plate is a plane in each channel.
    coordinates = np.concatenate([grid, np.ones((side, side, 1))], axis=2)
    planes, *_ = np.linalg.lstsq(coordinates[white], photo[white], rcond=None)
    empty = coordinates @ planes
    # A quarter of the deviation, because it includes the blurred edges of the old digits.
    grain = (light - empty.mean(axis=2))[white].std() / 4
    ink = photo[plate & (light <= dark)].mean(axis=0)
    softness = rng.uniform(0.3, 1.4)  # pixels; about that of GTSRB's pictures after resizing
    coverage = _draw_digits(digits, centre, half, side, softness, rng)[..., None]
    opacity = np.clip((PLATE_RADIUS - radius) / 0.06, 0, 1)[..., None]
    rewritten = empty + (ink - empty) * coverage + rng.normal(0, grain, (side, side, 1))
    result: FloatPixels = np.clip(photo + (rewritten - photo) * opacity, 0, 255).round()
    return result


def _draw_digits(
    digits: str, centre: Point, half: Point, side: int, softness: float, rng: np.random.Generator
) -> FloatPixels:
    """Draw digits at the position of the sign, slightly displaced.

    Returns:
        Fraction of each pixel that the digits cover, shape (side, side), in [0, 1].
    """
    image = Image.new("RGB", (side * SUPERSAMPLING, side * SUPERSAMPLING))
    turn, slant = np.radians(rng.normal(0, 2.5, 2))
    width, height = np.array(half) / 50 * SUPERSAMPLING * rng.normal(1, 0.05, 2).clip(0.88, 1.12)
    x_axis = (width * np.cos(turn), width * np.sin(turn))
    y_axis = (-height * np.sin(turn + slant), height * np.cos(turn + slant))
    middle = (np.array(centre) + half * rng.normal(0, 0.02, 2)) * SUPERSAMPLING
    origin = middle - 50 * np.add(x_axis, y_axis)
    sketch = Sketch(ImageDraw.Draw(image), x_axis, y_axis, (origin[0], origin[1]))
    speed(sketch, digits, (255, 255, 255))
    blurred = image.getchannel(0).filter(ImageFilter.GaussianBlur(softness * SUPERSAMPLING)).reduce(SUPERSAMPLING)
    return np.asarray(blurred, np.float32) / np.float32(255)
