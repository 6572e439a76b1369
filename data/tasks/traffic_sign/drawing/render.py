"""Drawings of GTSRB's 43 signs, seen from the front or as in a photo, and data sets of drawings.

They replace photos in demos, tests, and the icons and samples of the page. A network that is trained on drawings alone
does not work on photos.
"""

import csv
import io
import math
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from data.errors import SourceError
from data.images import Box
from data.source import DRAWN, ORIGIN_FILE
from data.tasks.traffic_sign.drawing import pictograms as figure
from data.tasks.traffic_sign.drawing.pictograms import (
    BLACK,
    BLUE,
    GREY,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Point,
    Sketch,
    arc,
    rectangle,
    rounded,
)

SIGN_COUNT: Final = 43
DRAWING_VERSION: Final = 1  # raise it whenever the same seed gives different bytes
COLUMNS: Final = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId", "Path")
MIN_SIDE: Final = 28  # pixels; GTSRB's smallest picture is 25 wide, and most of its pictures are small
MAX_SIDE: Final = 96  # pixels
MIN_BRIGHTNESS: Final = 16.0  # mean in the middle of a picture, of 255; about that of GTSRB's darkest pictures
FRONTAL_SIDES: Final = (64, 128, 192)  # pixels; sizes of the cached drawings, of which the next larger one is warped
SUPERSAMPLING: Final = 4  # factor by which frontal signs are drawn larger and then reduced, to antialias edges
SCENE_SUPERSAMPLING: Final = 2  # the same for scenes, which are blurred anyway

FloatPixels = npt.NDArray[np.float32]  # [0, 255] unless stated otherwise
DrawFunction = Callable[[Sketch], None]  # draws one sign, or the figure on one, seen from the front
TableRow = tuple[int, int, int, int, int, int, int, str]  # values of `COLUMNS`

# Folded rim of the plate; it also separates a white rim from a white page.
EDGE: Final[Colour] = (122, 124, 128)
CENTRE: Final[Point] = (50.0, 50.0)


# --- Frontal signs ------------------------------------------------------------------------------------------


def draw_sign(class_index: int, size: int) -> Image.Image:
    """Draw a sign seen from the front, evenly lit, on a transparent background.

    Args:
        class_index: GTSRB's class, 0 to 42.
        size: side in pixels, at least 1.

    Returns:
        RGBA image, (size, size); the sign fills the width.

    Raises:
        ValueError: the class does not exist, or the size is too small.
    """
    return draw_frontal(_draw_function(class_index), size)


def _draw_function(class_index: int) -> DrawFunction:
    if not 0 <= class_index < SIGN_COUNT:
        raise ValueError(f"the class index must be between 0 and {SIGN_COUNT - 1}, not {class_index}")
    return _SIGNS[class_index]


def draw_frontal(draw: DrawFunction, size: int) -> Image.Image:
    """Draw any sign seen from the front; see `draw_sign`.

    Raises:
        ValueError: the size is too small.
    """
    if size < 1:
        raise ValueError(f"a sign must be at least 1 pixel wide, not {size}")
    large = Image.new("RGBA", (size * SUPERSAMPLING, size * SUPERSAMPLING))
    draw(Sketch.on(large))
    return large.reduce(SUPERSAMPLING)


def round_plate(sketch: Sketch, *discs: tuple[float, Colour]) -> None:
    """Draw a round plate: the folded rim, then discs with the given radii and colours."""
    sketch.disc(CENTRE, 49.7, EDGE)
    for radius, colour in discs:
        sketch.disc(CENTRE, radius, colour)


def _prohibition_plate(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.6, RED), (36.0, WHITE))


def _end_plate(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.4, BLACK), (45.8, WHITE))


def _mandatory_plate(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.4, BLUE))


def _triangle(inradius: float, corner_radius: float) -> list[Point]:
    """Return the rounded outline of an upright triangle around the centroid of the plate."""
    # With the outermost radii it is 99.4 wide and 87.4 high, and centred in the square.
    centre_x, centre_y = 50.0, 62.9
    half_side = inradius * math.sqrt(3)
    corners = [
        (centre_x, centre_y - 2 * inradius),
        (centre_x + half_side, centre_y + inradius),
        (centre_x - half_side, centre_y + inradius),
    ]
    return rounded(corners, corner_radius)


def _warning_plate(sketch: Sketch) -> None:
    for inradius, corner_radius, colour in (
        (30.8, 5, EDGE),
        (30.3, 4.6, WHITE),
        (28.9, 3.6, RED),
        (20.4, 1.2, WHITE),
    ):
        sketch.polygon(_triangle(inradius, corner_radius), colour)


def speed_limit(digits: str, sketch: Sketch) -> None:
    """Draw a speed speed_limit."""
    _prohibition_plate(sketch)
    figure.speed(sketch, digits)


def prohibition(draw: DrawFunction, sketch: Sketch) -> None:
    """Draw a prohibitory sign with a figure."""
    _prohibition_plate(sketch)
    draw(sketch)


def warning(draw: DrawFunction, sketch: Sketch) -> None:
    """Draw a warning sign with a figure."""
    _warning_plate(sketch)
    draw(sketch)


def _mirrored_warning(draw: DrawFunction, sketch: Sketch) -> None:
    warning(draw, sketch.mirrored())


def obligation(draw: DrawFunction, sketch: Sketch) -> None:
    """Draw a mandatory sign with a figure."""
    _mandatory_plate(sketch)
    draw(sketch)


def _mirrored_obligation(draw: DrawFunction, sketch: Sketch) -> None:
    obligation(draw, sketch.mirrored())


def end_of(draw: DrawFunction, sketch: Sketch) -> None:
    """Draw the sign that end_of a rule: a figure crossed out by five diagonal lines."""
    _end_plate(sketch)
    draw(sketch)
    for offset in (-7.6, -3.8, 0.0, 3.8, 7.6):
        half_length = math.sqrt(46.4**2 - offset**2)
        line = sketch.placed(50, 50, turn_degrees=-45)
        line.stroke([(-half_length, offset), (half_length, offset)], 2.0, BLACK)


def _no_figure(_sketch: Sketch) -> None:
    """Leave the plate empty."""


def _no_passing(left: Colour, right: Colour, sketch: Sketch) -> None:
    figure.car_from_behind(sketch.placed(33.4, 50.5), left)
    figure.car_from_behind(sketch.placed(66.6, 50.5), right)


def _no_passing_for_trucks(left: Colour, right: Colour, sketch: Sketch) -> None:
    figure.truck_from_behind(sketch.placed(34.2, 48.4, scale=0.94), left)
    figure.car_from_behind(sketch.placed(66.4, 54.0), right)


def priority_road(sketch: Sketch, colour: Colour = YELLOW) -> None:
    """Draw the diamond of a priority road, by default in yellow."""
    for radius, corner_radius, fill in (
        (51.6, 5, BLACK),
        (50.2, 4.2, WHITE),
        (31.4, 1.8, BLACK),
        (29.8, 1.2, colour),
    ):
        corners = [(50.0, 50 - radius), (50 + radius, 50.0), (50.0, 50 + radius), (50 - radius, 50.0)]
        sketch.polygon(rounded(corners, corner_radius), fill)


def _yield(sketch: Sketch) -> None:
    _warning_plate(sketch.placed(100, 100, turn_degrees=180))


def _stop(sketch: Sketch) -> None:
    for apothem, colour in ((49.7, EDGE), (49.2, WHITE), (46.8, RED)):
        radius = apothem / math.cos(math.pi / 8)
        corners = arc(CENTRE, radius, 22.5, 382.5)[:-1:9]  # a point every 5 degrees, a corner every 45
        sketch.polygon(rounded(corners, 1.5), colour)
    figure.lettering(sketch, "STOP", 34, WHITE, widths=(3.7, 3.5, 3.8, 3.6), gap=0.65)


def _no_entry(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.6, RED))
    sketch.polygon(rectangle(9.5, 41.2, 90.5, 58.8), WHITE)


_SIGNS: Final[tuple[DrawFunction, ...]] = (
    partial(speed_limit, "20"),
    partial(speed_limit, "30"),
    partial(speed_limit, "50"),
    partial(speed_limit, "60"),
    partial(speed_limit, "70"),
    partial(speed_limit, "80"),
    partial(end_of, partial(figure.speed, digits="80", colour=GREY)),
    partial(speed_limit, "100"),
    partial(speed_limit, "120"),
    partial(prohibition, partial(_no_passing, RED, BLACK)),
    partial(prohibition, partial(_no_passing_for_trucks, RED, BLACK)),
    partial(warning, figure.crossing_with_right_of_way),
    priority_road,
    _yield,
    _stop,
    partial(prohibition, _no_figure),
    partial(prohibition, figure.truck_from_the_side),
    _no_entry,
    partial(warning, figure.exclamation_mark),
    partial(warning, figure.bend),
    partial(_mirrored_warning, figure.bend),
    partial(warning, figure.double_bend),
    partial(warning, figure.bumps),
    partial(warning, figure.skidding_car),
    partial(warning, figure.narrowing),
    partial(warning, figure.worker),
    partial(warning, figure.traffic_light),
    partial(warning, figure.pedestrian),
    partial(warning, figure.children),
    partial(warning, figure.bicycle),
    partial(warning, figure.snowflake),
    partial(warning, figure.deer),
    partial(end_of, _no_figure),
    partial(_mirrored_obligation, figure.arrow_turning_left),
    partial(obligation, figure.arrow_turning_left),
    partial(obligation, figure.arrow_ahead),
    partial(_mirrored_obligation, figure.arrows_ahead_and_left),
    partial(obligation, figure.arrows_ahead_and_left),
    partial(_mirrored_obligation, figure.arrow_down_left),
    partial(obligation, figure.arrow_down_left),
    partial(obligation, figure.arrows_in_a_circle),
    partial(end_of, partial(_no_passing, GREY, GREY)),
    partial(end_of, partial(_no_passing_for_trucks, GREY, GREY)),
)


# --- Signs as in a photo ------------------------------------------------------------------------------------


def draw_example(class_index: int, rng: np.random.Generator, size: int | None = None) -> tuple[Image.Image, Box]:
    """Draw a sign as in a photo, with random pose, surroundings, light, blur and noise.

    Args:
        class_index: GTSRB's class, 0 to 42.
        rng: random generator.
        size: side in pixels, at least 8; by default random from 28 to 96, with small sizes more frequent.

    Returns:
        RGB image, (size, size), and the bounding box of the sign, which lies inside the image.

    Raises:
        ValueError: the class does not exist, or the size is too small.
    """
    return draw_in_scene(_draw_function(class_index), rng, size)


def draw_in_scene(draw: DrawFunction, rng: np.random.Generator, size: int | None = None) -> tuple[Image.Image, Box]:
    """Draw any sign as in a photo; see `draw_example`.

    Raises:
        ValueError: the size is too small.
    """
    size = _choose_size(size, rng)
    side = size * SCENE_SUPERSAMPLING
    outline, inverse = _pose(draw, rng, side)
    sign = _warp(draw, inverse, side)
    scene = _draw_surroundings(rng, side, outline)
    colours = _age(np.asarray(sign.convert("RGB"), np.float32), rng)
    # The plate faces the camera and the background does not, so their brightness varies independently.
    light = np.float32(np.clip(rng.lognormal(-0.1, 0.4), 0.4, 1.4))
    scene *= light * np.float32(rng.lognormal(0.0, 0.45))
    colours *= light
    opacity = np.asarray(sign.getchannel("A"), np.float32)[:, :, None] / 255
    scene += (colours - scene) * opacity
    scene *= _illumination(rng, side)
    image = _expose(scene, rng, size)
    return image, _bounding_box(outline, size)


def draw_scene(
    furnish: Callable[[Image.Image, np.random.Generator], None], rng: np.random.Generator, size: int | None = None
) -> Image.Image:
    """Draw a roadside without a sign as in a photo.

    Args:
        furnish: draws the objects in front of the background.
        rng: random generator.
        size: side in pixels; see `draw_example`.

    Returns:
        RGB image, (size, size).

    Raises:
        ValueError: the size is too small.
    """
    size = _choose_size(size, rng)
    side = size * SCENE_SUPERSAMPLING
    image = _draw_background(rng, side)
    furnish(image, rng)
    scene = np.array(image, np.float32) * np.float32(rng.lognormal(-0.1, 0.5))
    scene *= _illumination(rng, side)
    return _expose(scene, rng, size)


def _choose_size(size: int | None, rng: np.random.Generator) -> int:
    if size is None:
        return int(MIN_SIDE * ((MAX_SIDE + 0.999) / MIN_SIDE) ** rng.random())
    if size < 8:
        raise ValueError(f"an example must be at least 8 pixels wide, not {size}")
    return size


@cache
def _cached_frontal(draw: DrawFunction, side: int) -> Image.Image:
    return draw_frontal(draw, side)


@cache
def _outline(draw: DrawFunction) -> npt.NDArray[np.float64]:
    """Return the leftmost and rightmost points of a sign in each row, shape (n, 2), x and y in [0, 1]."""
    opaque = np.asarray(_cached_frontal(draw, FRONTAL_SIDES[0]).getchannel("A")) > 127
    side = len(opaque)
    points = []
    for y in np.flatnonzero(opaque.any(axis=1)):
        columns = np.flatnonzero(opaque[y])
        points += [(x, edge) for x in (columns[0], columns[-1] + 1) for edge in (y, y + 1)]
    return np.array(points, np.float64) / side


def _pose(
    draw: DrawFunction, rng: np.random.Generator, side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Choose a random pose of a sign in the image.

    Returns:
        The outline of the sign in the image, shape (n, 2), x and y in [0, 1]; and the projection from pixels of the
        image to the unit square of the frontal sign, shape (3, 3).
    """
    roll = math.radians(float(np.clip(rng.normal(0, 4.5), -12, 12)))
    yaw, pitch = np.radians(np.clip(rng.normal(0, (14, 8)), -32, 32))
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    turn = about_x @ about_y @ about_z
    distance = rng.uniform(2.5, 6.0)  # in widths of the sign; a short distance makes the perspective strong
    # The columns are the images of the x axis, the y axis and the centre; the plate lies in the plane z = 0.
    projection = np.column_stack([turn[:, 0], turn[:, 1], np.array([0.0, 0.0, distance])])
    projection = projection @ np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    points = _project(projection, _outline(draw))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = rng.triangular(0.6, 0.82, 0.95) / float((high - low).max())
    slack = 1 - (high - low) * scale
    shift = slack * rng.beta(3.0, 3.0, size=2) - low * scale
    to_frame = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1.0]])
    to_unit = np.diag([1 / side, 1 / side, 1.0])
    outline = np.clip(points * scale + shift, 0.0, 1.0)
    return outline, np.linalg.inv(to_frame @ projection) @ to_unit


def _project(matrix: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply a projection, shape (3, 3), to points, shape (n, 2)."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    result: npt.NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:]
    return result


def _warp(draw: DrawFunction, inverse: npt.NDArray[np.float64], side: int) -> Image.Image:
    """Warp a frontal sign by a projection; returns an RGBA image, (side, side)."""
    source = next((wide for wide in FRONTAL_SIDES if wide >= side), FRONTAL_SIDES[-1])
    matrix = np.diag([source, source, 1.0]) @ inverse
    coefficients = (matrix / matrix[2, 2]).ravel()[:8].tolist()
    return _cached_frontal(draw, source).transform(
        (side, side), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )


def _bounding_box(outline: npt.NDArray[np.float64], size: int) -> Box:
    left, top = np.floor(outline.min(axis=0) * size).astype(int)
    right, bottom = np.ceil(outline.max(axis=0) * size).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _age(colours: FloatPixels, rng: np.random.Generator) -> FloatPixels:
    """Bleach, yellow and soil the colours of a sign as by years of weather."""
    grey = colours.mean(axis=2, keepdims=True)
    aged: FloatPixels = grey + (colours - grey) * np.float32(rng.uniform(0.6, 1.1))
    if rng.random() < 0.15:  # red fades towards orange long before black and blue fade
        red = np.clip((colours[:, :, :1] - colours[:, :, 2:]) / 255, 0, 1)
        aged += red * np.array([30, 75, 25], np.float32) * np.float32(rng.uniform(0.3, 1.0))
    black_level = np.float32(rng.uniform(0, 45))
    aged = black_level + aged * (1 - black_level / np.float32(255))
    if rng.random() < 0.3:
        aged *= 1 - _noise(rng, len(aged), 5) * np.float32(rng.uniform(0.1, 0.45))
    return aged


def _illumination(rng: np.random.Generator, side: int) -> FloatPixels:
    """Return a factor for the brightness of each pixel, of a shape that broadcasts to (side, side, 3)."""
    light = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)[None, None, :]
    if rng.random() < 0.5:
        light = light * (1 + _ramp(rng, side) * np.float32(rng.uniform(0.1, 0.6)))[:, :, None]
    if rng.random() < 0.2:  # the edge of a shadow
        position = _ramp(rng, side) - np.float32(rng.uniform(-0.5, 0.5))
        lit = np.clip(position * np.float32(rng.uniform(4, 25)) + 0.5, 0, 1)
        light = light * (1 - lit * np.float32(rng.uniform(0.25, 0.65)))[:, :, None]
    return light.astype(np.float32)


def _ramp(rng: np.random.Generator, side: int) -> FloatPixels:
    """Return a linear gradient from about -1 to 1 in a random direction, shape (side, side)."""
    angle = rng.uniform(0, 2 * math.pi)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    ramp: FloatPixels = line[None, :] * np.float32(math.cos(angle)) + line[:, None] * np.float32(math.sin(angle))
    return ramp


def _noise(rng: np.random.Generator, side: int, cells: int) -> FloatPixels:
    """Return smooth noise in [0, 1] with about `cells` spots per side, shape (side, side, 1)."""
    seed = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    smooth: FloatPixels = np.asarray(seed.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return smooth[:, :, None] / np.float32(255)


def _expose(scene: FloatPixels, rng: np.random.Generator, size: int) -> Image.Image:
    """Simulate a camera: exposure, blur, noise and compression; returns an RGB image, (size, size)."""
    exposure = np.float32(np.clip(np.exp(rng.normal(-0.35, 0.5)), 0.25, 1.6))
    # Below the minimum brightness, signs are unrecognisable.
    quarter = len(scene) // 4
    middle = np.float32(scene[quarter:-quarter, quarter:-quarter].mean())
    scene = scene * max(exposure, np.float32(MIN_BRIGHTNESS) / middle)
    contrast = np.float32(rng.uniform(0.75, 1.2))
    mean = np.float32(scene.mean())
    scene = mean + (scene - mean) * contrast + np.float32(max(0.0, rng.normal(0, 7)))
    image = _to_image(scene)
    if rng.random() < 0.25:
        image = _add_motion_blur(image, rng)
    share = abs(rng.normal(0, 0.009)) if rng.random() < 0.85 else rng.uniform(0.015, 0.035)
    image = image.filter(ImageFilter.GaussianBlur(image.width * share))
    if rng.random() < 0.3:  # low resolution
        coarse = max(16, round(size * rng.uniform(0.4, 0.9)))
        image = image.resize((coarse, coarse), Image.Resampling.BOX)
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    else:
        image = image.resize((size, size), Image.Resampling.BOX)
    grain = rng.standard_normal((size, size, 3), np.float32) * np.float32(rng.gamma(1.5, 1.6))
    image = _to_image(np.asarray(image, np.float32) + grain)
    if rng.random() < 0.25:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=int(rng.integers(35, 90)))
        with Image.open(packed) as unpacked:
            image = unpacked.convert("RGB")
    return image


def _to_image(values: FloatPixels) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _add_motion_blur(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur an image along a line, as in a photo from a moving car."""
    angle = rng.normal(0, 0.5)  # mostly horizontal
    length = image.width * rng.uniform(0.01, 0.06)
    steps = max(2, math.ceil(length))
    total = np.zeros((image.height, image.width, 3), np.float32)
    pixels = np.asarray(image)
    for step in range(steps):
        along = length * (step / (steps - 1) - 0.5)
        x, y = round(along * math.cos(angle)), round(along * math.sin(angle))
        total += np.roll(pixels, (y, x), axis=(0, 1))
    return _to_image(total / np.float32(steps))


# --- Backgrounds --------------------------------------------------------------------------------------------


def _draw_surroundings(rng: np.random.Generator, side: int, outline: npt.NDArray[np.float64]) -> FloatPixels:
    """Draw the background, the pole and neighbouring signs; returns pixels of shape (side, side, 3).

    Args:
        rng: random generator.
        side: side of the image in pixels.
        outline: outline of the sign, shape (n, 2), x and y in [0, 1].
    """
    image = _draw_background(rng, side)
    canvas = ImageDraw.Draw(image)
    left, top = outline.min(axis=0) * side
    right, bottom = outline.max(axis=0) * side
    middle = (left + right) / 2
    if rng.random() < 0.75:
        half = side * rng.uniform(0.015, 0.04)
        shade = int(rng.integers(35, 170))
        upper = 0.0 if rng.random() < 0.3 else top - side * rng.uniform(-0.1, 0.06)
        lean = side * rng.normal(0, 0.02)
        corners = [(middle - half - lean, upper), (middle + half - lean, upper)]
        corners += [(middle + half + lean, side), (middle - half + lean, side)]
        canvas.polygon(corners, fill=(shade, shade, shade + 5))
    if rng.random() < 0.2:
        width = float(right - left) * rng.uniform(0.85, 1.05)
        start = (round(middle - width / 2), round(bottom + side * rng.uniform(0.0, 0.03)))
        _draw_neighbour(image, rng, start, round(width), above=False)
    if rng.random() < 0.08:
        width = float(right - left) * rng.uniform(0.85, 1.05)
        start = (round(middle - width / 2), round(top - side * rng.uniform(0.0, 0.03)))
        _draw_neighbour(image, rng, start, round(width), above=True)
    return np.array(image, np.float32)


def _draw_background(rng: np.random.Generator, side: int) -> Image.Image:
    """Draw one or two kinds of background, sometimes with branches in front."""
    backgrounds = (_sky, _foliage, _wall, _blobs)
    background = backgrounds[rng.choice(4, p=(0.3, 0.3, 0.2, 0.2))](rng, side)
    if rng.random() < 0.3:  # a second background below a horizon
        below = backgrounds[rng.choice(4, p=(0.0, 0.5, 0.25, 0.25))](rng, side)
        edge = np.linspace(-1, 1, side, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.6, 0.8))
        edge = edge + (_noise(rng, side, 9)[:, :, 0] - 0.5) * np.float32(rng.uniform(0.05, 0.8))
        background += (below - background) * np.clip(edge * side / 4, 0, 1)[:, :, None]
    image = _to_image(background)
    canvas = ImageDraw.Draw(image)
    if rng.random() < 0.35:
        _draw_branches(canvas, rng, side)
    return image


def _draw_neighbour(image: Image.Image, rng: np.random.Generator, start: Point, width: int, *, above: bool) -> None:
    """Draw part of another sign, or of a supplementary plate with text, at the edge of the image."""
    x, y = int(start[0]), int(start[1])
    if rng.random() < 0.6:
        side = FRONTAL_SIDES[0]
        other = _cached_frontal(_SIGNS[rng.integers(SIGN_COUNT)], side)
        box = other.getbbox() or (0, 0, side, side)
        other = other.crop(box).resize((width, width * (box[3] - box[1]) // (box[2] - box[0])))
        image.paste(other, (x, y - other.height if above else y), other)
        return
    height = round(width * rng.uniform(0.25, 0.5))
    y = y - height if above else y
    canvas = ImageDraw.Draw(image)
    canvas.rectangle(
        (x, y, x + width, y + height), fill=(235, 235, 235), outline=(25, 25, 25), width=max(1, width // 40)
    )
    for line in range(2):
        level = y + height * (0.3 + 0.4 * line)
        for word in range(3):
            begin = x + width * (0.15 + 0.25 * word)
            end = begin + width * rng.uniform(0.08, 0.2)
            canvas.line((begin, level, end, level), fill=(40, 40, 40), width=max(1, height // 8))


def _sky(rng: np.random.Generator, side: int) -> FloatPixels:
    blue, bright = rng.uniform(0, 1), rng.uniform(0.55, 1.1)
    zenith = np.array([225 - 125 * blue, 230 - 75 * blue, 240], np.float32) * np.float32(bright)
    horizon = np.array([235, 238, 242], np.float32) * np.float32(bright)
    height = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    sky = zenith + (horizon - zenith) * height
    clouds = _noise(rng, side, 4) * np.float32(rng.uniform(0, 0.6))
    return np.broadcast_to(sky, (side, side, 3)) * (1 - clouds) + horizon * clouds


def _foliage(rng: np.random.Generator, side: int) -> FloatPixels:
    """Return leaves: spots of four sizes, sometimes with gaps through which the sky shines."""
    spots = sum(
        (
            _noise(rng, side, cells) * np.float32(weight)
            for cells, weight in ((4, 0.3), (10, 0.3), (24, 0.25), (60, 0.3))
        ),
        np.zeros((1, 1, 1), np.float32),
    )
    contrast = np.clip((spots - 0.575) * np.float32(rng.uniform(1.2, 3.5)) + 0.5, 0, 1)
    autumn = rng.uniform(0, 1)
    dark = np.array([20 + 25 * autumn, 28, 14], np.float32)
    light = np.array([110 + 70 * autumn, 140 - 15 * autumn, 60 + 20 * autumn], np.float32)
    leaves: FloatPixels = dark + (light - dark) * contrast
    if rng.random() < 0.35:
        gaps = np.clip((_noise(rng, side, 18) - np.float32(rng.uniform(0.55, 0.8))) * 8, 0, 1)
        leaves += (np.array([215, 222, 235], np.float32) - leaves) * gaps
    return leaves


def _wall(rng: np.random.Generator, side: int) -> FloatPixels:
    """Return a wall of plaster or bricks, sometimes with windows."""
    base = np.array([[205, 198, 180], [150, 85, 65], [170, 170, 172], [120, 112, 100]][rng.integers(4)], np.float32)
    base = np.clip(base * np.float32(rng.uniform(0.5, 1.2)) + rng.normal(0, 12, 3).astype(np.float32), 0, 255)
    image = Image.new("RGB", (side, side), tuple(int(value) for value in base))
    canvas = ImageDraw.Draw(image)
    course = side / rng.uniform(5, 22)
    joint = tuple(int(value * 0.8) for value in base)
    if rng.random() < 0.5:
        for row in range(math.ceil(side / course) + 1):
            y = row * course
            canvas.line((0, y, side, y), fill=joint, width=max(1, side // 90))
            if course > side / 14:
                for column in range(math.ceil(side / course / 2) + 1):
                    x = (column * 2 + row % 2) * course
                    canvas.line((x, y, x, y + course), fill=joint, width=max(1, side // 90))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.2, 1.0, 2) * side
        width, height = rng.uniform(0.15, 0.5, 2) * side
        pane = int(rng.integers(20, 120))
        frame = int(rng.integers(150, 245))
        canvas.rectangle(
            (x, y, x + width, y + height),
            fill=(pane, pane, pane + 10),
            outline=(frame,) * 3,
            width=max(1, side // 40),
        )
    return np.asarray(image, np.float32) * (0.85 + 0.3 * _noise(rng, side, 7))


def _blobs(rng: np.random.Generator, side: int) -> FloatPixels:
    """Return an out-of-focus background, such as traffic, shop windows or lights."""
    cells = int(rng.integers(3, 9))
    colours = rng.integers(20, 235, (cells, cells, 3)).astype(np.float32)
    grey = colours.mean(axis=2, keepdims=True)
    muted = grey + (colours - grey) * np.float32(rng.uniform(0.05, 0.4))
    return np.asarray(_to_image(muted).resize((side, side), Image.Resampling.BICUBIC), np.float32)


def _draw_branches(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw thin bare branches or wires."""
    for _ in range(int(rng.integers(2, 16))):
        x, y = rng.uniform(-0.1, 1.1, 2) * side
        angle = rng.uniform(0, 2 * math.pi)
        shade = int(rng.integers(15, 80))
        width = int(rng.integers(1, max(2, side // 30) + 1))
        points = [(x, y)]
        for _ in range(4):
            angle += rng.normal(0, 0.35)
            x += math.cos(angle) * side * 0.16
            y += math.sin(angle) * side * 0.16
            points.append((x, y))
        canvas.line(points, fill=(shade + 10, shade, shade), width=width)


# --- A data set of drawings ---------------------------------------------------------------------------------


def write_drawn(folder: Path, images_per_class: int, seed: int) -> None:
    """Write a data set of drawings in the layout of the Kaggle archive.

    The data set consists of pictures Train/<class>/CCCCC_TTTTT_00000.png, each with its own track TTTTT; the table
    Train.csv with `COLUMNS`, in which right and bottom of boxes are exclusive; and the file ORIGIN, which marks the
    data set as drawn and gives its seed, count and version. If ORIGIN already has these values, nothing is written.
    The same seed gives the same bytes with the same versions of Pillow and NumPy. The data set is written to a
    temporary folder and then renamed, so that readers never see an incomplete one.

    Args:
        folder: folder of the data set; an empty folder or older drawings are replaced.
        images_per_class: 1 to 100,000.
        seed: at least 0.

    Raises:
        ValueError: `images_per_class` or `seed` is out of range.
        SourceError: `folder` contains anything other than drawings; it is not changed.
        OSError: the data set cannot be written.
    """
    if not 1 <= images_per_class <= 100_000:
        raise ValueError(f"images_per_class must be between 1 and 100000, not {images_per_class}")
    if seed < 0:
        raise ValueError(f"the seed must be at least 0, not {seed}")
    origin = f"{DRAWN} seed={seed} images_per_class={images_per_class} version={DRAWING_VERSION}\n"
    if _read_origin(folder) == origin:
        return
    _refuse_other_data(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh, replaced = Path(temporary, "fresh"), Path(temporary, "replaced")
        fresh.mkdir()
        # Written first, so that not even an incomplete data set is mistaken for photos.
        (fresh / ORIGIN_FILE).write_text(origin, encoding="utf-8")
        # Sequential, at 2.5 ms per picture: because of the GIL, threads would not be faster.
        rows: list[TableRow] = []
        for class_index in range(SIGN_COUNT):
            rows += _write_class(fresh, images_per_class, seed, class_index)
        with (fresh / "Train.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
        if folder.exists():
            folder.rename(replaced)
        try:
            fresh.rename(folder)
        except OSError:
            # Ignore the error if another process has written the same data set in the meantime.
            if _read_origin(folder) != origin:
                raise


def _read_origin(folder: Path) -> str | None:
    try:
        return (folder / ORIGIN_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _refuse_other_data(folder: Path) -> None:
    if not folder.exists():
        return
    drawings = (_read_origin(folder) or "").startswith(f"{DRAWN} ")
    if not drawings and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"{folder}: contains something other than drawings; choose an empty or new folder")


def _write_class(folder: Path, images_per_class: int, seed: int, class_index: int) -> list[TableRow]:
    """Write the pictures of one class and return their rows of the table."""
    (folder / "Train" / str(class_index)).mkdir(parents=True)
    rows: list[TableRow] = []
    for track in range(images_per_class):
        # One generator per picture, so that a larger data set with the same seed starts with the same pictures.
        image, box = draw_example(class_index, np.random.default_rng((seed, class_index, track)))
        path = f"Train/{class_index}/{class_index:05d}_{track:05d}_00000.png"
        image.save(folder / path)
        rows.append((image.width, image.height, *box, class_index, path))
    return rows
