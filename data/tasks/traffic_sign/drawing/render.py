"""Our own drawings of the 43 signs of GTSRB, frontal or as a camera may see them, and data sets of them.

They serve where no photographs are at hand: a first try of the training, the tests, the icons and the sample
pictures of the page. A network trained on them alone is not fit for photographs.
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
DRAWING_VERSION: Final = 1  # to be raised whenever the same seed gives other bytes
COLUMNS: Final = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId", "Path")
MIN_SIDE: Final = 28  # px; GTSRB begins at 25, and most of its pictures are small too
MAX_SIDE: Final = 96  # px
MIN_BRIGHTNESS: Final = 16.0  # of 255, the mean in the middle of a picture; GTSRB's darkest are about as dark
FRONTAL_SIDES: Final = (64, 128, 192)  # px; drawings kept to be warped, the next larger one is taken
SUPERSAMPLING: Final = 4  # a frontal sign is drawn so many times larger and then reduced, for clean edges
SCENE_SAMPLING: Final = 2  # the same for a camera's view, where blur hides the rest

Pixels = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, half-open
Drawing = Callable[[Sketch], None]  # draws one sign, frontal, on the whole sketch
Row = tuple[int, int, int, int, int, int, int, str]  # the cells under `COLUMNS`

# The plate's folded rim; it also sets a white rim off from a white page.
EDGE: Final[Colour] = (122, 124, 128)
CENTRE: Final[Point] = (50.0, 50.0)


# --- Frontal signs ------------------------------------------------------------------------------------------


def draw_sign(class_index: int, size: int) -> Image.Image:
    """Draw one sign, frontal, evenly lit, on a transparent ground.

    Args:
        class_index: GTSRB's class, 0 to 42.
        size: side in pixels, at least 1.

    Returns:
        RGBA, (size, size); the sign fills the side, and what lies outside its outline is transparent.

    Raises:
        ValueError: no such class, or no such size.
    """
    return draw_frontal(_drawing_of(class_index), size)


def _drawing_of(class_index: int) -> Drawing:
    if not 0 <= class_index < SIGN_COUNT:
        raise ValueError(f"a class index lies between 0 and {SIGN_COUNT - 1}; {class_index} came")
    return _SIGNS[class_index]


def draw_frontal(drawing: Drawing, size: int) -> Image.Image:
    """Draw any sign as `draw_sign` does."""
    if size < 1:
        raise ValueError(f"a sign's side is at least 1 pixel; {size} came")
    large = Image.new("RGBA", (size * SUPERSAMPLING, size * SUPERSAMPLING))
    drawing(Sketch.on(large))
    return large.reduce(SUPERSAMPLING)


def round_plate(sketch: Sketch, *grounds: tuple[float, Colour]) -> None:
    """Draw a round plate: the folded edge, then discs of the given radii."""
    sketch.disc(CENTRE, 49.7, EDGE)
    for radius, colour in grounds:
        sketch.disc(CENTRE, radius, colour)


def _prohibition(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.6, RED), (36.0, WHITE))


def _cancellation(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.4, BLACK), (45.8, WHITE))


def _mandatory(sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.4, BLUE))


def _triangle(inradius: float, corner_radius: float) -> list[Point]:
    """Return the rounded outline of an upright triangle about the plate's centre of gravity."""
    # At the outermost radii it is 99.4 wide and 87.4 high, and stands in the middle of the square.
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


def limit(digits: str, sketch: Sketch) -> None:
    """Draw a speed limit."""
    _prohibition(sketch)
    figure.speed(sketch, digits)


def prohibits(draw: Drawing, sketch: Sketch) -> None:
    """Draw a prohibition with a figure."""
    _prohibition(sketch)
    draw(sketch)


def warns(draw: Drawing, sketch: Sketch) -> None:
    """Draw a warning with a figure."""
    _warning_plate(sketch)
    draw(sketch)


def _warns_mirrored(draw: Drawing, sketch: Sketch) -> None:
    warns(draw, sketch.mirrored())


def requires(draw: Drawing, sketch: Sketch) -> None:
    """Draw an instruction with a figure."""
    _mandatory(sketch)
    draw(sketch)


def _requires_mirrored(draw: Drawing, sketch: Sketch) -> None:
    requires(draw, sketch.mirrored())


def ends(draw: Drawing, sketch: Sketch) -> None:
    """Draw the end of a rule: its figure below five diagonal lines."""
    _cancellation(sketch)
    draw(sketch)
    for offset in (-7.6, -3.8, 0.0, 3.8, 7.6):
        half_length = math.sqrt(46.4**2 - offset**2)
        line = sketch.placed(50, 50, turn_degrees=-45)
        line.stroke([(-half_length, offset), (half_length, offset)], 2.0, BLACK)


def _nothing(_sketch: Sketch) -> None:
    """Leave the plate empty."""


def _no_passing(left: Colour, right: Colour, sketch: Sketch) -> None:
    figure.car_from_behind(sketch.placed(33.4, 50.5), left)
    figure.car_from_behind(sketch.placed(66.6, 50.5), right)


def _no_passing_for_trucks(left: Colour, right: Colour, sketch: Sketch) -> None:
    figure.truck_from_behind(sketch.placed(34.2, 48.4, scale=0.94), left)
    figure.car_from_behind(sketch.placed(66.4, 54.0), right)


def priority_road(sketch: Sketch, colour: Colour = YELLOW) -> None:
    """Draw the yellow diamond, or one of another colour."""
    for radius, corner_radius, ground in (
        (51.6, 5, BLACK),
        (50.2, 4.2, WHITE),
        (31.4, 1.8, BLACK),
        (29.8, 1.2, colour),
    ):
        corners = [(50.0, 50 - radius), (50 + radius, 50.0), (50.0, 50 + radius), (50 - radius, 50.0)]
        sketch.polygon(rounded(corners, corner_radius), ground)


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


_SIGNS: Final[tuple[Drawing, ...]] = (
    partial(limit, "20"),
    partial(limit, "30"),
    partial(limit, "50"),
    partial(limit, "60"),
    partial(limit, "70"),
    partial(limit, "80"),
    partial(ends, partial(figure.speed, digits="80", colour=GREY)),
    partial(limit, "100"),
    partial(limit, "120"),
    partial(prohibits, partial(_no_passing, RED, BLACK)),
    partial(prohibits, partial(_no_passing_for_trucks, RED, BLACK)),
    partial(warns, figure.crossing_with_right_of_way),
    priority_road,
    _yield,
    _stop,
    partial(prohibits, _nothing),
    partial(prohibits, figure.truck_from_the_side),
    _no_entry,
    partial(warns, figure.exclamation_mark),
    partial(warns, figure.bend),
    partial(_warns_mirrored, figure.bend),
    partial(warns, figure.double_bend),
    partial(warns, figure.bumps),
    partial(warns, figure.skidding_car),
    partial(warns, figure.narrowing),
    partial(warns, figure.worker),
    partial(warns, figure.traffic_light),
    partial(warns, figure.pedestrian),
    partial(warns, figure.children),
    partial(warns, figure.bicycle),
    partial(warns, figure.snowflake),
    partial(warns, figure.deer),
    partial(ends, _nothing),
    partial(_requires_mirrored, figure.arrow_turning_left),
    partial(requires, figure.arrow_turning_left),
    partial(requires, figure.arrow_ahead),
    partial(_requires_mirrored, figure.arrows_ahead_and_left),
    partial(requires, figure.arrows_ahead_and_left),
    partial(_requires_mirrored, figure.arrow_down_left),
    partial(requires, figure.arrow_down_left),
    partial(requires, figure.arrows_in_a_circle),
    partial(ends, partial(_no_passing, GREY, GREY)),
    partial(ends, partial(_no_passing_for_trucks, GREY, GREY)),
)


# --- Signs as a camera may see them -------------------------------------------------------------------------


def draw_example(class_index: int, rng: np.random.Generator, size: int | None = None) -> tuple[Image.Image, Box]:
    """Draw one sign as a camera may see it: somewhere, askew, in some light, blurred and noisy.

    Args:
        class_index: GTSRB's class, 0 to 42.
        rng: decides everything that varies.
        size: side in pixels, at least 8; by default random, 28 to 96, and more often small.

    Returns:
        The picture, RGB, (size, size), and the box around the sign in its pixels: (left, top, right, bottom),
        half-open, always inside the picture.

    Raises:
        ValueError: no such class, or no such size.
    """
    return draw_seen(_drawing_of(class_index), rng, size)


def draw_seen(drawing: Drawing, rng: np.random.Generator, size: int | None = None) -> tuple[Image.Image, Box]:
    """Draw any sign as `draw_example` does."""
    size = _size_or_random(size, rng)
    side = size * SCENE_SAMPLING
    placed, inverse = _pose(drawing, rng, side)
    sign = _warped(drawing, inverse, side)
    scene = _surroundings(rng, side, placed)
    colours = _aged(np.asarray(sign.convert("RGB"), np.float32), rng)
    # A plate faces the camera and the ground behind does not: each has its own share of the light.
    light = np.float32(np.clip(rng.lognormal(-0.1, 0.4), 0.4, 1.4))
    scene *= light * np.float32(rng.lognormal(0.0, 0.45))
    colours *= light
    opacity = np.asarray(sign.getchannel("A"), np.float32)[:, :, None] / 255
    scene += (colours - scene) * opacity
    scene *= _illumination(rng, side)
    image = _exposed(scene, rng, size)
    return image, _box_around(placed, size)


def draw_scene(
    furnish: Callable[[Image.Image, np.random.Generator], None], rng: np.random.Generator, size: int | None = None
) -> Image.Image:
    """Draw what may be around signs, as a camera may see it.

    Args:
        furnish: draws what stands in front of the ground.
        rng: decides everything that varies.
        size: side in pixels, as in `draw_example`.

    Returns:
        RGB, (size, size).

    Raises:
        ValueError: no such size.
    """
    size = _size_or_random(size, rng)
    side = size * SCENE_SAMPLING
    image = _ground(rng, side)
    furnish(image, rng)
    scene = np.array(image, np.float32) * np.float32(rng.lognormal(-0.1, 0.5))
    scene *= _illumination(rng, side)
    return _exposed(scene, rng, size)


def _size_or_random(size: int | None, rng: np.random.Generator) -> int:
    if size is None:
        return int(MIN_SIDE * ((MAX_SIDE + 0.999) / MIN_SIDE) ** rng.random())
    if size < 8:
        raise ValueError(f"an example's side is at least 8 pixels; {size} came")
    return size


@cache
def _frontal(drawing: Drawing, side: int) -> Image.Image:
    return draw_frontal(drawing, side)


@cache
def _outline(drawing: Drawing) -> npt.NDArray[np.float64]:
    """Return the leftmost and rightmost points of a sign in each row: shape (n, 2), x and y in [0, 1]."""
    opaque = np.asarray(_frontal(drawing, FRONTAL_SIDES[0]).getchannel("A")) > 127
    side = len(opaque)
    points = []
    for y in np.flatnonzero(opaque.any(axis=1)):
        columns = np.flatnonzero(opaque[y])
        points += [(x, edge) for x in (columns[0], columns[-1] + 1) for edge in (y, y + 1)]
    return np.array(points, np.float64) / side


def _pose(
    drawing: Drawing, rng: np.random.Generator, side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Put a sign somewhere in the frame.

    Returns:
        Its outline there, shape (n, 2), x and y as shares of the frame, all within [0, 1]; and the projection
        from the frame's pixels to the sign's unit square, shape (3, 3).
    """
    roll = math.radians(float(np.clip(rng.normal(0, 4.5), -12, 12)))
    yaw, pitch = np.radians(np.clip(rng.normal(0, (14, 8)), -32, 32))
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    turn = about_x @ about_y @ about_z
    distance = rng.uniform(2.5, 6.0)  # in sides of the sign; the nearer, the more the far edge shrinks
    # Column by column: where x, y and the sign's middle go. The plate lies in z = 0, so two axes remain.
    project = np.column_stack([turn[:, 0], turn[:, 1], np.array([0.0, 0.0, distance])])
    project = project @ np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    points = _projected(project, _outline(drawing))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = rng.triangular(0.6, 0.82, 0.95) / float((high - low).max())
    slack = 1 - (high - low) * scale
    shift = slack * rng.beta(3.0, 3.0, size=2) - low * scale
    to_frame = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1.0]])
    to_unit = np.diag([1 / side, 1 / side, 1.0])
    placed = np.clip(points * scale + shift, 0.0, 1.0)
    return placed, np.linalg.inv(to_frame @ project) @ to_unit


def _projected(matrix: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map points, shape (n, 2), by a projection, shape (3, 3)."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    result: npt.NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:]
    return result


def _warped(drawing: Drawing, inverse: npt.NDArray[np.float64], side: int) -> Image.Image:
    """Return a sign as the projection shows it, RGBA, (side, side)."""
    source = next((wide for wide in FRONTAL_SIDES if wide >= side), FRONTAL_SIDES[-1])
    matrix = np.diag([source, source, 1.0]) @ inverse
    coefficients = (matrix / matrix[2, 2]).ravel()[:8].tolist()
    return _frontal(drawing, source).transform(
        (side, side), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )


def _box_around(placed: npt.NDArray[np.float64], size: int) -> Box:
    left, top = np.floor(placed.min(axis=0) * size).astype(int)
    right, bottom = np.ceil(placed.max(axis=0) * size).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _aged(colours: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a sign's colours after some years outside: bleached, yellowed, dirty; [0, 255]."""
    grey = colours.mean(axis=2, keepdims=True)
    aged: Pixels = grey + (colours - grey) * np.float32(rng.uniform(0.6, 1.1))
    if rng.random() < 0.15:  # red fades towards orange long before black and blue do
        red = np.clip((colours[:, :, :1] - colours[:, :, 2:]) / 255, 0, 1)
        aged += red * np.array([30, 75, 25], np.float32) * np.float32(rng.uniform(0.3, 1.0))
    black_level = np.float32(rng.uniform(0, 45))
    aged = black_level + aged * (1 - black_level / np.float32(255))
    if rng.random() < 0.3:
        aged *= 1 - _noise(rng, len(aged), 5) * np.float32(rng.uniform(0.1, 0.45))
    return aged


def _illumination(rng: np.random.Generator, side: int) -> Pixels:
    """Return the light's share at each pixel, shape (side, side, 3) or one that broadcasts to it."""
    light = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)[None, None, :]
    if rng.random() < 0.5:
        light = light * (1 + _ramp(rng, side) * np.float32(rng.uniform(0.1, 0.6)))[:, :, None]
    if rng.random() < 0.2:  # the edge of a shadow
        position = _ramp(rng, side) - np.float32(rng.uniform(-0.5, 0.5))
        lit = np.clip(position * np.float32(rng.uniform(4, 25)) + 0.5, 0, 1)
        light = light * (1 - lit * np.float32(rng.uniform(0.25, 0.65)))[:, :, None]
    return light.astype(np.float32)


def _ramp(rng: np.random.Generator, side: int) -> Pixels:
    """Return values that grow evenly from about -1 to 1 in a random direction, shape (side, side)."""
    angle = rng.uniform(0, 2 * math.pi)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    ramp: Pixels = line[None, :] * np.float32(math.cos(angle)) + line[:, None] * np.float32(math.sin(angle))
    return ramp


def _noise(rng: np.random.Generator, side: int, cells: int) -> Pixels:
    """Return smooth noise in [0, 1], shape (side, side, 1), with about `cells` spots along the side."""
    seed = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    smooth: Pixels = np.asarray(seed.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return smooth[:, :, None] / np.float32(255)


def _exposed(scene: Pixels, rng: np.random.Generator, size: int) -> Image.Image:
    """Return what a camera makes of a scene: exposed, blurred, noisy, compressed; RGB, (size, size)."""
    exposure = np.float32(np.clip(np.exp(rng.normal(-0.35, 0.5)), 0.25, 1.6))
    # Darker than this, nobody could tell what is on the sign.
    quarter = len(scene) // 4
    middle = np.float32(scene[quarter:-quarter, quarter:-quarter].mean())
    scene = scene * max(exposure, np.float32(MIN_BRIGHTNESS) / middle)
    contrast = np.float32(rng.uniform(0.75, 1.2))
    mean = np.float32(scene.mean())
    scene = mean + (scene - mean) * contrast + np.float32(max(0.0, rng.normal(0, 7)))
    image = _picture(scene)
    if rng.random() < 0.25:
        image = _moved(image, rng)
    share = abs(rng.normal(0, 0.009)) if rng.random() < 0.85 else rng.uniform(0.015, 0.035)
    image = image.filter(ImageFilter.GaussianBlur(image.width * share))
    if rng.random() < 0.3:  # enlarged from fewer pixels
        coarse = max(16, round(size * rng.uniform(0.4, 0.9)))
        image = image.resize((coarse, coarse), Image.Resampling.BOX)
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    else:
        image = image.resize((size, size), Image.Resampling.BOX)
    grain = rng.standard_normal((size, size, 3), np.float32) * np.float32(rng.gamma(1.5, 1.6))
    image = _picture(np.asarray(image, np.float32) + grain)
    if rng.random() < 0.25:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=int(rng.integers(35, 90)))
        with Image.open(packed) as unpacked:
            image = unpacked.convert("RGB")
    return image


def _picture(values: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _moved(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture blurred along a line, as from a moving car."""
    angle = rng.normal(0, 0.5)  # mostly level
    length = image.width * rng.uniform(0.01, 0.06)
    steps = max(2, math.ceil(length))
    total = np.zeros((image.height, image.width, 3), np.float32)
    pixels = np.asarray(image)
    for step in range(steps):
        along = length * (step / (steps - 1) - 0.5)
        x, y = round(along * math.cos(angle)), round(along * math.sin(angle))
        total += np.roll(pixels, (y, x), axis=(0, 1))
    return _picture(total / np.float32(steps))


# --- What is behind a sign ----------------------------------------------------------------------------------


def _surroundings(rng: np.random.Generator, side: int, placed: npt.NDArray[np.float64]) -> Pixels:
    """Return what is behind and around a sign, shape (side, side, 3), in [0, 255].

    Args:
        rng: decides what is there.
        side: of the frame, in pixels.
        placed: the sign's outline as shares of the frame, shape (n, 2).
    """
    image = _ground(rng, side)
    draw = ImageDraw.Draw(image)
    left, top = placed.min(axis=0) * side
    right, bottom = placed.max(axis=0) * side
    middle = (left + right) / 2
    if rng.random() < 0.75:
        half = side * rng.uniform(0.015, 0.04)
        shade = int(rng.integers(35, 170))
        upper = 0.0 if rng.random() < 0.3 else top - side * rng.uniform(-0.1, 0.06)
        lean = side * rng.normal(0, 0.02)
        corners = [(middle - half - lean, upper), (middle + half - lean, upper)]
        corners += [(middle + half + lean, side), (middle - half + lean, side)]
        draw.polygon(corners, fill=(shade, shade, shade + 5))
    if rng.random() < 0.2:
        width = float(right - left) * rng.uniform(0.85, 1.05)
        start = (round(middle - width / 2), round(bottom + side * rng.uniform(0.0, 0.03)))
        _neighbour(image, rng, start, round(width), above=False)
    if rng.random() < 0.08:
        width = float(right - left) * rng.uniform(0.85, 1.05)
        start = (round(middle - width / 2), round(top - side * rng.uniform(0.0, 0.03)))
        _neighbour(image, rng, start, round(width), above=True)
    return np.array(image, np.float32)


def _ground(rng: np.random.Generator, side: int) -> Image.Image:
    """Return one or two grounds, sometimes behind branches."""
    grounds = (_sky, _foliage, _wall, _blobs)
    ground = grounds[rng.choice(4, p=(0.3, 0.3, 0.2, 0.2))](rng, side)
    if rng.random() < 0.3:  # a second ground below a horizon
        below = grounds[rng.choice(4, p=(0.0, 0.5, 0.25, 0.25))](rng, side)
        edge = np.linspace(-1, 1, side, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.6, 0.8))
        edge = edge + (_noise(rng, side, 9)[:, :, 0] - 0.5) * np.float32(rng.uniform(0.05, 0.8))
        ground += (below - ground) * np.clip(edge * side / 4, 0, 1)[:, :, None]
    image = _picture(ground)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.35:
        _branches(draw, rng, side)
    return image


def _neighbour(image: Image.Image, rng: np.random.Generator, start: Point, width: int, *, above: bool) -> None:
    """Draw the part of another sign, or of a plate with small print, that reaches into the frame."""
    x, y = int(start[0]), int(start[1])
    if rng.random() < 0.6:
        side = FRONTAL_SIDES[0]
        other = _frontal(_SIGNS[rng.integers(SIGN_COUNT)], side)
        box = other.getbbox() or (0, 0, side, side)
        other = other.crop(box).resize((width, width * (box[3] - box[1]) // (box[2] - box[0])))
        image.paste(other, (x, y - other.height if above else y), other)
        return
    height = round(width * rng.uniform(0.25, 0.5))
    y = y - height if above else y
    draw = ImageDraw.Draw(image)
    draw.rectangle((x, y, x + width, y + height), fill=(235, 235, 235), outline=(25, 25, 25), width=max(1, width // 40))
    for line in range(2):
        level = y + height * (0.3 + 0.4 * line)
        for word in range(3):
            begin = x + width * (0.15 + 0.25 * word)
            end = begin + width * rng.uniform(0.08, 0.2)
            draw.line((begin, level, end, level), fill=(40, 40, 40), width=max(1, height // 8))


def _sky(rng: np.random.Generator, side: int) -> Pixels:
    blue, bright = rng.uniform(0, 1), rng.uniform(0.55, 1.1)
    zenith = np.array([225 - 125 * blue, 230 - 75 * blue, 240], np.float32) * np.float32(bright)
    horizon = np.array([235, 238, 242], np.float32) * np.float32(bright)
    height = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    sky = zenith + (horizon - zenith) * height
    clouds = _noise(rng, side, 4) * np.float32(rng.uniform(0, 0.6))
    return np.broadcast_to(sky, (side, side, 3)) * (1 - clouds) + horizon * clouds


def _foliage(rng: np.random.Generator, side: int) -> Pixels:
    """Return leaves: spots of four sizes, light where the sun or the sky comes through."""
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
    leaves: Pixels = dark + (light - dark) * contrast
    if rng.random() < 0.35:
        gaps = np.clip((_noise(rng, side, 18) - np.float32(rng.uniform(0.55, 0.8))) * 8, 0, 1)
        leaves += (np.array([215, 222, 235], np.float32) - leaves) * gaps
    return leaves


def _wall(rng: np.random.Generator, side: int) -> Pixels:
    """Return a house: plaster or bricks, sometimes with windows."""
    base = np.array([[205, 198, 180], [150, 85, 65], [170, 170, 172], [120, 112, 100]][rng.integers(4)], np.float32)
    base = np.clip(base * np.float32(rng.uniform(0.5, 1.2)) + rng.normal(0, 12, 3).astype(np.float32), 0, 255)
    image = Image.new("RGB", (side, side), tuple(int(value) for value in base))
    draw = ImageDraw.Draw(image)
    course = side / rng.uniform(5, 22)
    joint = tuple(int(value * 0.8) for value in base)
    if rng.random() < 0.5:
        for row in range(math.ceil(side / course) + 1):
            y = row * course
            draw.line((0, y, side, y), fill=joint, width=max(1, side // 90))
            if course > side / 14:
                for column in range(math.ceil(side / course / 2) + 1):
                    x = (column * 2 + row % 2) * course
                    draw.line((x, y, x, y + course), fill=joint, width=max(1, side // 90))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(-0.2, 1.0, 2) * side
        width, height = rng.uniform(0.15, 0.5, 2) * side
        pane = int(rng.integers(20, 120))
        frame = int(rng.integers(150, 245))
        draw.rectangle(
            (x, y, x + width, y + height),
            fill=(pane, pane, pane + 10),
            outline=(frame,) * 3,
            width=max(1, side // 40),
        )
    return np.asarray(image, np.float32) * (0.85 + 0.3 * _noise(rng, side, 7))


def _blobs(rng: np.random.Generator, side: int) -> Pixels:
    """Return an unsharp something: traffic, shop windows, lights."""
    cells = int(rng.integers(3, 9))
    colours = rng.integers(20, 235, (cells, cells, 3)).astype(np.float32)
    grey = colours.mean(axis=2, keepdims=True)
    muted = grey + (colours - grey) * np.float32(rng.uniform(0.05, 0.4))
    return np.asarray(_picture(muted).resize((side, side), Image.Resampling.BICUBIC), np.float32)


def _branches(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw thin bare branches, or wires."""
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
        draw.line(points, fill=(shade + 10, shade, shade), width=width)


# --- A data set of drawings ---------------------------------------------------------------------------------


def write_drawn(folder: Path, images_per_class: int, seed: int) -> None:
    """Write a whole data set of drawings in the layout of the Kaggle archive.

    Below `folder` lie Train/<class>/CCCCC_TTTTT_00000.png, each picture a track TTTTT of its own; the table
    Train.csv with `COLUMNS`, its boxes half-open; and the file ORIGIN, which says that these are drawings,
    and of which seed, count and version. If ORIGIN says so already, nothing is done. The same seed gives the
    same bytes under the same versions of Pillow and NumPy. Everything is written beside `folder` and then
    renamed, so that a reader sees a whole set or none.

    Args:
        folder: where the set shall be; older drawings there are replaced, an empty folder too.
        images_per_class: 1 to 100000.
        seed: at least 0.

    Raises:
        ValueError: a number out of its range.
        SourceError: `folder` holds something that is not drawings; it is left as it is.
        OSError: the disk is full, or may not be written.
    """
    if not 1 <= images_per_class <= 100_000:
        raise ValueError(f"images_per_class lies between 1 and 100000; {images_per_class} came")
    if seed < 0:
        raise ValueError(f"a seed is at least 0; {seed} came")
    origin = f"{DRAWN} seed={seed} images_per_class={images_per_class} version={DRAWING_VERSION}\n"
    if _origin_of(folder) == origin:
        return
    _refuse_other_data(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        fresh, replaced = Path(beside, "fresh"), Path(beside, "replaced")
        fresh.mkdir()
        # First of all, so that not even an interrupted set passes for photographs.
        (fresh / ORIGIN_FILE).write_text(origin, encoding="utf-8")
        # One after the other, 2.5 ms each: threads share Python's lock here and gain nothing.
        rows: list[Row] = []
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
            # Another process may have put the same set there meanwhile; then all is well.
            if _origin_of(folder) != origin:
                raise


def _origin_of(folder: Path) -> str | None:
    try:
        return (folder / ORIGIN_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _refuse_other_data(folder: Path) -> None:
    if not folder.exists():
        return
    drawings = (_origin_of(folder) or "").startswith(f"{DRAWN} ")
    if not drawings and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"{folder}: expected drawings, an empty folder or nothing; there is something else")


def _write_class(folder: Path, images_per_class: int, seed: int, class_index: int) -> list[Row]:
    """Write one class's pictures and return their rows of the table."""
    (folder / "Train" / str(class_index)).mkdir(parents=True)
    rows: list[Row] = []
    for track in range(images_per_class):
        # A generator for each picture: a larger set of the same seed begins with the same pictures.
        image, box = draw_example(class_index, np.random.default_rng((seed, class_index, track)))
        path = f"Train/{class_index}/{class_index:05d}_{track:05d}_00000.png"
        image.save(folder / path)
        rows.append((image.width, image.height, *box, class_index, path))
    return rows
