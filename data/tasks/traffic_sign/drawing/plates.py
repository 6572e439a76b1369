"""Other numbers on photographs of speed limits: the nearest that there is to a sign nobody trained for.

A photographed plate is emptied and written on anew, so that light, blur, noise and rim stay those of a camera. Plates
with a number of the 43 are made too: being written anew must not mean being none.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from data.tasks.traffic_sign.drawing.pictograms import Point, Sketch, speed

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

KNOWN: Final = {"20": 0, "30": 1, "50": 2, "60": 3, "70": 4, "80": 5, "100": 7, "120": 8}  # digits: class
OTHER: Final = ("5", "10", "40", "90", "110", "130")  # the other limits that German roads have
TESTING: Final = ("15", "45", "85", "150", "160", "180")  # no road has them: what is not known to be unknown
TRAINING: Final = tuple(str(n) for n in range(1, 200) if str(n) not in {*KNOWN, *OTHER, *TESTING})

VERSION: Final = 1  # to be raised whenever the same seed gives other pictures
SUPERSAMPLING: Final = 4
PLATE: Final = 0.70  # radius of the white ground, as a share of the sign's; the rim begins at 0.72


def choose_numbers(count: int, rng: np.random.Generator, *, testing: bool) -> list[str]:
    """Draw numbers to learn doubt from, in random order: as many other limits as numbers that are none.

    Of the latter those of one, two and three digits come in the proportions 1 : 8 : 4, and those of the test only
    where `testing` says so.
    """
    numbers = TRAINING + TESTING if testing else TRAINING
    lengths = np.array([len(digits) for digits in numbers])
    weight = np.array([0, 1, 8, 4])[lengths] / np.bincount(lengths)[lengths]
    invented = rng.choice(numbers, count - count // 2, p=weight / weight.sum())
    return list(rng.permutation([*rng.choice(OTHER, count // 2), *invented]))


def renumber_some(pixels: Pixels, boxes: Values, class_index: Indices, numbers: Sequence[str], seed: int) -> Pixels:
    """Write each number on the photograph of some speed limit.

    Args:
        pixels: shape (n, side, side, 3), uint8; boxes: shape (n, 4), as for `renumber`; class_index: shape (n,).
        numbers: m of them; seed: the same seed gives the same pictures.

    Returns:
        shape (m, side, side, 3), uint8; (0, side, side, 3) if there is no speed limit.
    """
    limits = np.flatnonzero(np.isin(class_index, list(KNOWN.values())))
    if not len(limits):
        return pixels[:0]
    rng = np.random.default_rng(seed)
    rows = rng.choice(limits, len(numbers))
    return renumber(pixels[rows], boxes[rows], numbers, rng)


def renumber(pixels: Pixels, boxes: Values, numbers: Sequence[str], rng: np.random.Generator) -> Pixels:
    """Write other numbers on photographed speed limits.

    Args:
        pixels: shape (n, side, side, 3), uint8, photographs of speed limits; boxes: shape (n, 4), float32, the box
            around each sign: left, top, right, bottom as fractions of the picture.
        numbers: n of them, of up to three digits.
        rng: decides how each is set.

    Returns:
        shape (n, side, side, 3), uint8.
    """
    result = np.empty_like(pixels)
    for row, digits in enumerate(numbers):
        result[row] = _renumbered(pixels[row].astype(np.float32), boxes[row], digits, rng)
    return result


def _renumbered(picture: Values, box: Values, digits: str, rng: np.random.Generator) -> Values:
    side = len(picture)
    left, top, right, bottom = box * side
    centre = (left + right) / 2, (top + bottom) / 2
    half = (right - left) / 2, (bottom - top) / 2
    grid = (np.mgrid[:side, :side].transpose(1, 2, 0)[..., ::-1] + 0.5 - centre) / half
    radius = np.hypot(grid[..., 0], grid[..., 1])
    plate = radius < PLATE - 0.06
    light = picture.mean(axis=2)
    dark, bright = np.quantile(light[plate], (0.05, 0.9))
    white = plate & (light >= dark + 0.65 * (bright - dark))
    across = np.concatenate([grid, np.ones((side, side, 1))], axis=2)  # the light on a plate changes evenly
    planes, *_ = np.linalg.lstsq(across[white], picture[white], rcond=None)
    ground = across @ planes
    grain = (light - ground.mean(axis=2))[white].std() / 4  # weaker than measured, which holds the figures' soft edges
    ink = picture[plate & (light <= dark)].mean(axis=0)
    softness = rng.uniform(0.3, 1.4)  # pixels, as GTSRB's pictures are when they are brought to one size
    covered = _written(digits, centre, half, side, softness, rng)[..., None]
    emptied = np.clip((PLATE - radius) / 0.06, 0, 1)[..., None]
    written = ground + (ink - ground) * covered + rng.normal(0, grain, (side, side, 1))
    result: Values = np.clip(picture + (written - picture) * emptied, 0, 255).round()
    return result


def _written(digits: str, centre: Point, half: Point, side: int, softness: float, rng: np.random.Generator) -> Values:
    """Draw digits where the sign is, slightly displaced; shape (side, side), the share of each pixel they cover."""
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
