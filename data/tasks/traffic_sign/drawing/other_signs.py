"""Drawings of other German signs, which are not among the 43, and of roadsides without a sign.

A classifier learns from them to answer "none of these". Training and testing use different signs.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from data.images import Box
from data.tasks.traffic_sign.drawing import pictograms as figure
from data.tasks.traffic_sign.drawing.pictograms import (
    BLACK,
    BLUE,
    GREY,
    RED,
    WHITE,
    YELLOW,
    Colour,
    Sketch,
    rectangle,
    rounded,
)
from data.tasks.traffic_sign.drawing.render import (
    CENTRE,
    EDGE,
    DrawFunction,
    draw_frontal,
    draw_in_scene,
    draw_scene,
    end_of,
    obligation,
    priority_road,
    prohibition,
    round_plate,
    warning,
)

# --- Plates -------------------------------------------------------------------------------------------------


def _board(width: float, height: float, *layers: tuple[float, Colour], sketch: Sketch) -> None:
    """Draw a centred rectangular plate: the folded rim, then layers with the given insets and colours."""
    for inset, colour in ((0.2, EDGE), *((0.7 + inset, colour) for inset, colour in layers)):
        left, top = 50 - width / 2 + inset, 50 - height / 2 + inset
        sketch.polygon(rounded(rectangle(left, top, 100 - left, 100 - top), max(1.0, 7.6 - inset)), colour)


def _blue_board(sketch: Sketch, height: float = 100) -> None:
    _board(100, height, (0, WHITE), (1.8, BLUE), sketch=sketch)


def _zoomed(draw: DrawFunction, x: float, y: float, scale: float, sketch: Sketch) -> None:
    """Scale a figure and move its point (x, y) to the centre of the sign."""
    draw(sketch.placed(50 - x * scale, 50 - y * scale, scale=scale))


# --- Round signs --------------------------------------------------------------------------------------------


def _weight(sketch: Sketch) -> None:
    figure.lettering(sketch, "5,5t", 27, BLACK, widths=(4.2, 1.1, 4.2, 2.6), gap=0.65)


def _width(sketch: Sketch) -> None:
    figure.lettering(sketch, "2m", 25, BLACK, widths=(4.1, 5.6), gap=1.1)
    for side in (sketch, sketch.mirrored()):
        side.polygon([(28.2, 50), (16.6, 42.4), (16.6, 57.6)], BLACK)


def _parking_rule(angles: tuple[float, ...], sketch: Sketch) -> None:
    """Draw a blue sign with a red rim and one red bar per angle, in degrees."""
    round_plate(sketch, (49.2, WHITE), (48.0, RED), (38.6, BLUE))
    for angle in angles:
        bar = sketch.placed(*CENTRE, turn_degrees=angle)
        bar.stroke([(-40, 0), (40, 0)], 9.2, RED)


def _footpath(sketch: Sketch) -> None:
    figure.pedestrian(sketch.placed(-16, -14, scale=1.14), WHITE)
    figure.pedestrian(sketch.placed(30, 25.1, scale=0.65), WHITE)


def _cycle_and_footpath(sketch: Sketch) -> None:
    figure.pedestrian(sketch.placed(8.5, -15.5, scale=0.72), WHITE)
    figure.pedestrian(sketch.placed(36.5, 4.6, scale=0.46), WHITE)
    sketch.stroke([(5.5, 50), (94.5, 50)], 2.4, WHITE)
    figure.bicycle(sketch.placed(3.2, 10.0, scale=0.93), WHITE)


def _small_number(digits: str, sketch: Sketch) -> None:
    figure.speed(sketch.placed(25, 33, scale=0.5), digits)


def _plain_plate(colour: Colour, sketch: Sketch) -> None:
    round_plate(sketch, (49.2, WHITE), (47.6, colour))


def _blue_bar(sketch: Sketch) -> None:
    _plain_plate(BLUE, sketch)
    sketch.polygon(rectangle(9.5, 41.2, 90.5, 58.8), WHITE)


def _crossed_out(draw: DrawFunction, sketch: Sketch) -> None:
    """Draw a sign crossed out by a red bar from the lower left to the upper right."""
    draw(sketch)
    sketch.placed(*CENTRE, turn_degrees=-45).stroke([(-34, 0), (34, 0)], 8, RED)


# --- Boards and diamonds ------------------------------------------------------------------------------------


def _end_of_30_zone(sketch: Sketch) -> None:
    _board(100, 100, (0, WHITE), (2.0, GREY), (3.4, WHITE), sketch=sketch)
    sketch.disc((50, 40), 29, GREY)
    sketch.disc((50, 40), 23, WHITE)
    figure.speed(sketch.placed(18, 8, scale=0.64), "30", GREY)
    zone = sketch.placed(0, 31.5)
    figure.lettering(zone, "ZONE", 17, GREY, widths=(4.0, 4.2, 4.2, 3.6), gap=0.9)
    for offset in (-7.6, -3.8, 0.0, 3.8, 7.6):
        line = sketch.placed(*CENTRE, turn_degrees=-45)
        line.stroke([(-60 + abs(offset), offset), (60 - abs(offset), offset)], 2.0, BLACK)


def _one_way(sketch: Sketch) -> None:
    _blue_board(sketch, 40)
    sketch.polygon([(6, 42), (70, 42), (70, 35), (95, 50), (70, 65), (70, 58), (6, 58)], WHITE)
    text = sketch.placed(-10, 0)
    widths = [1.4 if letter == "I" else 3.9 for letter in "EINBAHNSTRASSE"]
    figure.lettering(text, "EINBAHNSTRASSE", 7.4, BLACK, widths=widths, gap=0.9)


def _parking(sketch: Sketch) -> None:
    _blue_board(sketch)
    figure.lettering(sketch, "P", 68, WHITE, widths=(4.6,), gap=0)


def _motorway(sketch: Sketch) -> None:
    _blue_board(sketch)
    for side in (sketch, sketch.mirrored()):
        side.polygon([(15, 90), (47.4, 90), (48.8, 12), (41.6, 12)], WHITE)
        side.polygon([(8, 36), (50, 36), (50, 52), (36, 52), (34, 46), (22, 46), (16, 56), (8, 56)], BLUE)
    sketch.polygon(rectangle(10, 39, 90, 46.4), WHITE)
    for side in (sketch, sketch.mirrored()):
        side.polygon([(10, 46), (21.4, 46), (14.6, 54.6), (10, 54.6)], WHITE)


def _town(sketch: Sketch) -> None:
    _board(100, 64, (0, YELLOW), (1.8, BLACK), (4.0, YELLOW), sketch=sketch)
    figure.lettering(sketch, "HALLE", 23, BLACK, widths=(4.3, 4.5, 3.5, 3.5, 3.6), gap=1.0)


def _pedestrian_crossing(sketch: Sketch) -> None:
    _blue_board(sketch)
    sketch.polygon(rounded([(50, 12), (92, 86), (8, 86)], 1.0), WHITE)
    for left in (18, 33.5, 49, 64.5):
        sketch.polygon([(left + 5, 73), (left + 13, 73), (left + 14.5, 83), (left + 2.5, 83)], BLACK)
    figure.pedestrian(sketch.placed(4.5, 1.2, scale=0.9))


def _on_diamond(draw: DrawFunction, sketch: Sketch) -> None:
    priority_road(sketch)
    _zoomed(draw, 50, 56, 0.72, sketch)


def _diamond(colour: Colour, sketch: Sketch) -> None:
    priority_road(sketch, colour)


def _end_of_priority_road(sketch: Sketch) -> None:
    priority_road(sketch)
    for offset in (-7.6, -3.8, 0.0, 3.8, 7.6):
        line = sketch.placed(*CENTRE, turn_degrees=-45)
        line.stroke([(-34.6, offset), (34.6, offset)], 2.0, BLACK)


# --- The two families ---------------------------------------------------------------------------------------


# Invented signs combine the plate of one rule with the figure of another, or use colours that German signs do not have,
# so that the classifier must look at the whole sign.
_FIGURES: Final[dict[str, DrawFunction]] = {
    "bend": figure.bend,
    "bumps": figure.bumps,
    "children": figure.children,
    "crossing": figure.crossing_with_right_of_way,
    "deer": figure.deer,
    "double-bend": figure.double_bend,
    "exclamation-mark": figure.exclamation_mark,
    "rocks": figure.falling_rocks,
    "motorcycle": figure.motorcycle,
    "narrowing": figure.narrowing,
    "skidding-car": figure.skidding_car,
    "snowflake": figure.snowflake,
    "traffic-light": figure.traffic_light,
    "truck": figure.truck_from_the_side,
    "wind-sock": figure.wind_sock,
    "worker": figure.worker,
}
_NOT_INVENTED: Final = {"truck", "motorcycle", "bumps"}  # real prohibitory signs, or too similar to an empty one
_INVENTED: Final[dict[str, DrawFunction]] = {
    **{
        f"prohibited-{name}": partial(prohibition, draw) for name, draw in _FIGURES.items() if name not in _NOT_INVENTED
    },
    **{f"required-{name}": partial(obligation, draw) for name, draw in _FIGURES.items()},
    "warning-truck": partial(warning, figure.truck_from_the_side),
    "warning-motorcycle": partial(warning, figure.motorcycle),
    "warning-50": partial(warning, partial(_small_number, "50")),
    **{
        f"minimum-{number}": partial(obligation, partial(figure.speed, digits=f"{number}", colour=WHITE))
        for number in (30, 50, 60, 80, 100)
    },
    **{
        f"end-of-limit-{number}": partial(end_of, partial(figure.speed, digits=f"{number}", colour=GREY))
        for number in (30, 50, 120)
    },
    **{f"end-of-{name}": partial(end_of, _FIGURES[name]) for name in ("truck", "motorcycle", "worker", "deer")},
    "end-of-minimum-50": partial(_crossed_out, partial(obligation, partial(figure.speed, digits="50", colour=WHITE))),
    "red-disc": partial(_plain_plate, RED),
    "blue-bar": _blue_bar,
    "blue-disc": partial(_plain_plate, BLUE),
    "grey-disc": partial(_plain_plate, GREY),
    "white-disc": partial(_plain_plate, WHITE),
    "crossed-diamond": partial(_crossed_out, priority_road),
    **{
        f"{name}-diamond": partial(_diamond, colour)
        for name, colour in (("blue", BLUE), ("red", RED), ("white", WHITE))
    },
    **{f"diamond-with-{name}": partial(_on_diamond, _FIGURES[name]) for name in ("worker", "deer", "exclamation-mark")},
    "diamond-with-50": partial(_on_diamond, partial(_small_number, "50")),
}

_TRAINING: Final[dict[str, DrawFunction]] = {
    **_INVENTED,
    "end-of-limit-70": partial(end_of, partial(figure.speed, digits="70", colour=GREY)),
    "end-of-30-zone": _end_of_30_zone,
    "restricted-stopping": partial(_parking_rule, (45.0,)),
    "no-bicycles": partial(prohibition, partial(_zoomed, figure.bicycle, 50.4, 65.0, 1.2)),
    "no-pedestrians": partial(prohibition, partial(_zoomed, figure.pedestrian, 50.5, 58.0, 1.25)),
    "no-motorcycles": partial(prohibition, figure.motorcycle),
    "weight-limit": partial(prohibition, _weight),
    "oncoming-traffic-first": partial(prohibition, figure.oncoming_traffic_first),
    "cycle-path": partial(obligation, partial(_zoomed, partial(figure.bicycle, colour=WHITE), 50.4, 65.0, 1.6)),
    "footpath": partial(obligation, _footpath),
    "one-way": _one_way,
    "motorway": _motorway,
    "parking": _parking,
    "town": _town,
    "narrowing-on-both-sides": partial(warning, figure.narrowing_on_both_sides),
    "two-way-traffic": partial(warning, figure.two_way_traffic),
    "level-crossing": partial(warning, figure.train_from_the_front),
    "steep-hill": partial(warning, figure.steep_hill),
    "falling-rocks": partial(warning, figure.falling_rocks),
    "crosswind": partial(warning, figure.wind_sock),
}
_TESTING: Final[dict[str, DrawFunction]] = {
    "end-of-limit-100": partial(end_of, partial(figure.speed, digits="100", colour=GREY)),
    "no-stopping": partial(_parking_rule, (45.0, -45.0)),
    "width-limit": partial(prohibition, _width),
    "no-buses": partial(prohibition, figure.bus_from_the_side),
    "turn-left-here": partial(obligation, figure.arrow_left),
    "cycle-and-footpath": partial(obligation, _cycle_and_footpath),
    "farm-animals": partial(warning, figure.cow),
    "queue": partial(warning, figure.queue),
    "end-of-priority-road": _end_of_priority_road,
    "pedestrian-crossing": _pedestrian_crossing,
}
_DRAW_FUNCTIONS: Final = {**_TRAINING, **_TESTING}

TRAINING: Final[tuple[str, ...]] = tuple(_TRAINING)
TESTING: Final[tuple[str, ...]] = tuple(_TESTING)  # never used to train a classifier that is evaluated with them


def draw_other_sign(name: str, size: int) -> Image.Image:
    """Draw one of the other signs seen from the front, evenly lit, on a transparent background.

    Args:
        name: one of `TRAINING` or `TESTING`.
        size: side in pixels, at least 1.

    Returns:
        RGBA image, (size, size); the sign fills the width.

    Raises:
        ValueError: the name is unknown, or the size is too small.
    """
    return draw_frontal(_draw_function(name), size)


def draw_other_example(name: str, rng: np.random.Generator, size: int | None = None) -> tuple[Image.Image, Box]:
    """Draw one of the other signs as in a photo, in the same way as the 43.

    Args:
        name: one of `TRAINING` or `TESTING`.
        rng: random generator.
        size: side in pixels, at least 8; by default random from 28 to 96, with small sizes more frequent.

    Returns:
        RGB image, (size, size), and the bounding box of the sign, as from `render.draw_example`.

    Raises:
        ValueError: the name is unknown, or the size is too small.
    """
    return draw_in_scene(_draw_function(name), rng, size)


def _draw_function(name: str) -> DrawFunction:
    if name not in _DRAW_FUNCTIONS:
        raise ValueError(f"there is no other sign {name!r}; see TRAINING and TESTING")
    return _DRAW_FUNCTIONS[name]


# --- Roadsides without a sign -------------------------------------------------------------------------------


def draw_empty_scene(rng: np.random.Generator, size: int | None = None) -> Image.Image:
    """Draw a roadside without a sign: sky, foliage, walls, poles, lamps and blank plates.

    Args:
        rng: random generator.
        size: side in pixels, at least 8; by default random from 28 to 96, with small sizes more frequent.

    Returns:
        RGB image, (size, size).

    Raises:
        ValueError: the size is too small.
    """
    return draw_scene(_furnish, rng, size)


def _furnish(image: Image.Image, rng: np.random.Generator) -> None:
    canvas = ImageDraw.Draw(image)
    furniture: tuple[tuple[float, Callable[[ImageDraw.ImageDraw, np.random.Generator, int], None]], ...] = (
        (0.3, _road),
        (0.25, _plate),
        (0.45, _poles),
        (0.2, _lamps),
        (0.15, _fence),
    )
    for probability, add in furniture:
        if rng.random() < probability:
            add(canvas, rng, image.width)


def _grey(rng: np.random.Generator, low: int, high: int) -> Colour:
    shade = int(rng.integers(low, high))
    return shade, shade, min(255, shade + int(rng.integers(0, 10)))


def _road(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw a road at the bottom, sometimes with a lane marking."""
    left, right = rng.uniform(0.5, 0.95, 2) * side
    canvas.polygon([(0, left), (side, right), (side, side), (0, side)], fill=_grey(rng, 50, 130))
    if rng.random() < 0.5:
        start, end = rng.uniform(-0.2, 1.2, 2) * side
        canvas.line((start, side, end, max(left, right)), fill=_grey(rng, 170, 240), width=max(1, side // 30))


def _poles(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw poles, tree trunks or lamp posts."""
    for _ in range(int(rng.integers(1, 4))):
        x, lean = rng.uniform(0, side), rng.normal(0, 0.04) * side
        half = side * rng.uniform(0.01, 0.07)
        top = 0.0 if rng.random() < 0.6 else rng.uniform(0, 0.6) * side
        bottom = side if rng.random() < 0.8 else rng.uniform(0.7, 1.0) * side
        outline = [(x - half - lean, top), (x + half - lean, top), (x + half + lean, bottom), (x - half + lean, bottom)]
        canvas.polygon(outline, fill=_grey(rng, 30, 175))


def _plate(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw a blank plate, a box or the side of a vehicle in one muted colour, sometimes with an outline."""
    x, y = rng.uniform(-0.2, 0.7, 2) * side
    width, height = rng.uniform(0.2, 0.8, 2) * side
    base = rng.integers(60, 230)
    colour = np.clip(base + rng.normal(0, 22, 3), 0, 255).astype(int).tolist()
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    corners += rng.normal(0, 0.02, (4, 2)) * side
    outline = _grey(rng, 20, 200) if rng.random() < 0.3 else None
    points = [(float(across), float(down)) for across, down in corners]
    canvas.polygon(points, fill=(colour[0], colour[1], colour[2]), outline=outline, width=max(1, side // 50))


def _lamps(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw small lights: street lamps, headlights, tail lights and traffic lights."""
    colours = ((255, 250, 235), (255, 215, 140), (235, 40, 30), (60, 220, 140))
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0, side, 2)
        radius = side * rng.uniform(0.01, 0.05)
        colour = colours[rng.choice(4, p=(0.4, 0.25, 0.25, 0.1))]
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _fence(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Draw a guard rail or a fence."""
    y, slope = rng.uniform(0.3, 0.95) * side, rng.normal(0, 0.06) * side
    colour = _grey(rng, 60, 210)
    pitch = rng.uniform(0.06, 0.4) * side
    height = rng.uniform(0.1, 0.4) * side
    for post in range(int(side / pitch) + 1):
        x = post * pitch
        canvas.line((x, y, x, y + height), fill=colour, width=max(1, side // 50))
    for level in (0.0, 0.4):
        rail = (0, y - slope + level * height, side, y + slope + level * height)
        canvas.line(rail, fill=colour, width=max(1, round(side * rng.uniform(0.015, 0.05))))
