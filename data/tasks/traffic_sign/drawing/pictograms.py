"""Drawing tools, and the figures on signs: lettering, vehicles, people, animals, roads and arrows.

Coordinates and lengths are percentages of the sign's side; x points right and y points down, both from 0 to 100. The
figures follow the German road traffic regulations (StVO, annexes 1 to 3), the lettering follows DIN 1451.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

WHITE: Final[Colour] = (255, 255, 255)
BLACK: Final[Colour] = (20, 20, 22)
GREY: Final[Colour] = (122, 124, 127)  # figures on signs that end a rule
RED: Final[Colour] = (198, 17, 30)  # traffic red, RAL 3020, slightly lighter, like retroreflective sheeting
BLUE: Final[Colour] = (8, 85, 160)  # traffic blue, RAL 5017, likewise
YELLOW: Final[Colour] = (252, 200, 18)  # traffic yellow, RAL 1023, likewise
GREEN: Final[Colour] = (0, 132, 88)  # traffic green, RAL 6024, likewise


@dataclass(frozen=True)
class Sketch:
    """An image to draw on, with an affine coordinate system for the shapes.

    Attributes:
        canvas: Pillow's drawing interface of the image.
        x_axis: vector of one unit along x, in pixels of the image.
        y_axis: vector of one unit along y, in pixels of the image.
        origin: position of (0, 0), in pixels of the image.
    """

    canvas: ImageDraw.ImageDraw
    x_axis: Point
    y_axis: Point
    origin: Point

    @classmethod
    def on(cls, image: Image.Image) -> Sketch:
        """Return a sketch in which (0, 0) to (100, 100) covers `image`, which must be square."""
        unit = image.width / 100
        return cls(ImageDraw.Draw(image), (unit, 0.0), (0.0, unit), (0.0, 0.0))

    def placed(
        self, x: float, y: float, *, scale: float = 1.0, turn_degrees: float = 0.0, mirrored: bool = False
    ) -> Sketch:
        """Return a sketch of the same image with the origin at (x, y) and the axes scaled, turned and mirrored."""
        cosine = math.cos(math.radians(turn_degrees)) * scale
        sine = math.sin(math.radians(turn_degrees)) * scale
        side = -1.0 if mirrored else 1.0
        start = self._pixel((0.0, 0.0))

        def direction(point: Point) -> Point:
            end = self._pixel(point)
            return end[0] - start[0], end[1] - start[1]

        return Sketch(
            self.canvas,
            direction((side * cosine, side * sine)),
            direction((-sine, cosine)),
            self._pixel((x, y)),
        )

    def mirrored(self) -> Sketch:
        """Return a sketch of the same image with left and right swapped."""
        return self.placed(100.0, 0.0, mirrored=True)

    def polygon(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill the polygon with these corners."""
        self.canvas.polygon([self._pixel(point) for point in points], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.polygon(arc(centre, radius, 0, 360), colour)

    def ring(self, centre: Point, radius: float, width: float, colour: Colour) -> None:
        """Draw the outline of a circle; `radius` is measured to the middle of the line."""
        self.stroke(arc(centre, radius, 0, 360), width, colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, *, round_ends: bool = False) -> None:
        """Draw a line of constant width with mitred corners.

        Args:
            points: two or more points on the line; a line that ends where it starts is closed without a seam.
            width: width of the line.
            colour: colour of the line.
            round_ends: whether to draw round ends instead of flat ones.
        """
        left, right = _sides(points, width / 2)
        # Fill each segment by itself: in tight bends, a single outline would intersect itself and leave a hole.
        for index in range(len(points) - 1):
            piece = (left[index], left[index + 1], right[index + 1], right[index])
            self.polygon(piece, colour)
        if round_ends:
            self.disc(points[0], width / 2, colour)
            self.disc(points[-1], width / 2, colour)

    def _pixel(self, point: Point) -> Point:
        x, y = point
        return (
            self.origin[0] + x * self.x_axis[0] + y * self.y_axis[0],
            self.origin[1] + x * self.x_axis[1] + y * self.y_axis[1],
        )


def _sides(points: Sequence[Point], half_width: float) -> tuple[list[Point], list[Point]]:
    """Return the left and right edges of a line, with one point on each edge per point of the line."""
    closed = math.dist(points[0], points[-1]) < 1e-6
    normals: list[Point] = []
    for start, end in pairwise(points):
        length = math.dist(start, end)
        normals.append(((start[1] - end[1]) / length, (end[0] - start[0]) / length))
    left: list[Point] = []
    right: list[Point] = []
    for index, (x, y) in enumerate(points):
        before = normals[index - 1] if index or closed else normals[0]
        after = normals[index % len(normals)] if index < len(normals) or closed else normals[-1]
        # The mitre vector is the mean of both unit normals divided by its squared length.
        sum_x, sum_y = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
        reach = half_width / max(sum_x**2 + sum_y**2, 0.1)
        left.append((x + sum_x * reach, y + sum_y * reach))
        right.append((x - sum_x * reach, y - sum_y * reach))
    return left, right


def arc(centre: Point, radius: float | Point, start_degrees: float, end_degrees: float) -> list[Point]:
    """Return points on an arc of a circle, or of an ellipse if `radius` is (radius along x, radius along y).

    Angles are measured clockwise from the x axis: 90 is below the centre and 270 above it.
    """
    radius_x, radius_y = radius if isinstance(radius, tuple) else (radius, radius)
    steps = max(2, math.ceil(abs(end_degrees - start_degrees) / 5))
    angles = (math.radians(start_degrees + (end_degrees - start_degrees) * i / steps) for i in range(steps + 1))
    return [(centre[0] + radius_x * math.cos(angle), centre[1] + radius_y * math.sin(angle)) for angle in angles]


def curve(points: Sequence[Point], *, closed: bool = False, steps: int = 8) -> list[Point]:
    """Return points on a Catmull-Rom spline through `points`."""
    count = len(points)

    def knot(index: int) -> Point:
        return points[index % count] if closed else points[min(max(index, 0), count - 1)]

    line: list[Point] = []
    for index in range(count if closed else count - 1):
        before, start, end, after = (knot(index + offset) for offset in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            weights = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (-(t**2) + t**3) / 2,
            )
            knots = (before, start, end, after)
            line.append(
                (
                    sum(weight * point[0] for weight, point in zip(weights, knots, strict=True)),
                    sum(weight * point[1] for weight, point in zip(weights, knots, strict=True)),
                )
            )
    line.append(points[0] if closed else points[-1])
    return line


def rounded(corners: Sequence[Point], radius: float) -> list[Point]:
    """Return the outline of a convex or concave polygon with rounded corners."""
    outline: list[Point] = []
    count = len(corners)
    for index, corner in enumerate(corners):
        before, after = corners[index - 1], corners[(index + 1) % count]
        to_before, to_after = math.dist(corner, before), math.dist(corner, after)
        unit_before = ((before[0] - corner[0]) / to_before, (before[1] - corner[1]) / to_before)
        unit_after = ((after[0] - corner[0]) / to_after, (after[1] - corner[1]) / to_after)
        cosine = unit_before[0] * unit_after[0] + unit_before[1] * unit_after[1]
        half_angle = math.acos(max(-1.0, min(1.0, cosine))) / 2
        tangent = min(radius / math.tan(half_angle), 0.5 * to_before, 0.5 * to_after)
        fitted = tangent * math.tan(half_angle)
        middle = (unit_before[0] + unit_after[0], unit_before[1] + unit_after[1])
        scale = fitted / math.sin(half_angle) / math.hypot(*middle)
        centre = (corner[0] + middle[0] * scale, corner[1] + middle[1] * scale)
        first = math.atan2(
            corner[1] + unit_before[1] * tangent - centre[1], corner[0] + unit_before[0] * tangent - centre[0]
        )
        last = math.atan2(
            corner[1] + unit_after[1] * tangent - centre[1], corner[0] + unit_after[0] * tangent - centre[0]
        )
        sweep = (last - first + math.pi) % (2 * math.pi) - math.pi
        outline += arc(centre, fitted, math.degrees(first), math.degrees(first + sweep))
    return outline


def rectangle(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """Return the corners of an axis-aligned rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


# --- Lettering ----------------------------------------------------------------------------------------------

GLYPH_HEIGHT: Final = 7.0  # in stroke widths, as in DIN 1451


def _glyph_lines(glyph: str, width: float) -> list[list[Point]]:
    """Return the centre lines of a glyph in a box from (0, 0) to (`width`, 7), in stroke widths.

    Raises:
        ValueError: the glyph is not available.
    """
    left, right, top, bottom = 0.5, width - 0.5, 0.5, GLYPH_HEIGHT - 0.5
    middle = width / 2
    radius = (right - left) / 2
    waist = 3.3
    upper = ((middle, (top + waist) / 2), (radius * 0.92, (waist - top) / 2))
    lower = ((middle, (waist + bottom) / 2), (radius, (bottom - waist) / 2))
    match glyph:
        case "0" | "O":
            bow = min(radius * 1.1, 2.0)
            outline = [*arc((middle, top + bow), (radius, bow), 180, 360)]
            outline += arc((middle, bottom - bow), (radius, bow), 0, 180)
            return [[*outline, outline[0]]]
        case "1":
            return [[(right, 0.0), (right, GLYPH_HEIGHT)], [(0.1, 2.15), (right, 0.75)]]
        case "2":
            hook = (middle, top + radius)
            return [
                [*arc(hook, radius, 188, 392), (left + 0.3, bottom)],
                [(0.05, bottom), (width - 0.1, bottom)],
            ]
        case "3":
            return [
                [*arc(*upper, 192, 450), (middle - 0.5, waist)],
                [(middle - 0.5, waist), *arc(*lower, 270, 528)],
            ]
        case "4":
            return [
                [(middle + 0.35, 0.0), (0.45, 5.3), (width, 5.3)],
                [(width - 1.3, 3.4), (width - 1.3, GLYPH_HEIGHT)],
            ]
        case "5":
            bowl = ((middle, 4.45), (radius, bottom - 4.45))
            return [
                [(width - 0.25, top), (left + 0.2, top), (left + 0.1, 3.75)],
                [(left + 0.1, 3.75), *arc(*bowl, 228, 525)],
            ]
        case "6":
            bowl = ((middle, 4.6), (radius, bottom - 4.6))
            return [
                arc(*bowl, 0, 360),
                [(left, 4.6), *arc((middle, top + radius), (radius, radius), 180, 345)],
            ]
        case "7":
            return [[(0.0, top), (right + 0.05, top), (right + 0.05, 1.0), (middle - 0.55, GLYPH_HEIGHT)]]
        case "8":
            return [arc(*upper, 0, 360), arc(*lower, 0, 360)]
        case "9":
            return [[(width - x, GLYPH_HEIGHT - y) for x, y in line] for line in _glyph_lines("6", width)]
        case "%":
            rings = [arc(centre, (1.0, 1.35), 0, 360) for centre in ((1.4, 1.9), (width - 1.4, GLYPH_HEIGHT - 1.9))]
            return [*rings, [(width - 1.6, 0.0), (1.6, GLYPH_HEIGHT)]]
        case ",":
            return [[(middle + 0.1, 6.0), (middle + 0.1, 7.1), (middle - 0.3, 8.1)]]
        case "S":
            return [[*arc(*upper, 345, 90), *arc(*lower, 270, 525)[1:]]]
        case "T":
            return [[(0.0, top), (width, top)], [(middle, top), (middle, GLYPH_HEIGHT)]]
        case "P":
            belly = (right - radius * 0.85, 2.25)
            loop = [(left, top), *arc(belly, (radius * 0.85, 1.75), 270, 450), (left, 4.0)]
            return [[(left, 0.0), (left, GLYPH_HEIGHT)], loop]
        case "A":
            legs = [(0.3, GLYPH_HEIGHT), (middle, 0.4), (width - 0.3, GLYPH_HEIGHT)]
            return [legs, [(left + 0.5, 4.9), (right - 0.5, 4.9)]]
        case "B":
            bows = ((top, waist, 0.88), (waist, bottom, 1.0))
            loops = []
            for start, end, reach in bows:
                half = (end - start) / 2
                curve_out = arc((right - half, (start + end) / 2), (half * reach, half), 270, 450)
                loops.append([(left, start), *curve_out, (left, end)])
            return [[(left, 0.0), (left, GLYPH_HEIGHT)], *loops]
        case "E":
            bars = [[(left, y), (width - shorter, y)] for y, shorter in ((top, 0.0), (waist, 0.4), (bottom, 0.0))]
            return [[(left, 0.0), (left, GLYPH_HEIGHT)], *bars]
        case "H":
            stems = [[(x, 0.0), (x, GLYPH_HEIGHT)] for x in (left, right)]
            return [*stems, [(left, waist), (right, waist)]]
        case "I":
            return [[(middle, 0.0), (middle, GLYPH_HEIGHT)]]
        case "L":
            return [[(left, 0.0), (left, bottom), (width, bottom)]]
        case "N":
            return [[(left, GLYPH_HEIGHT), (left, 0.8), (right, GLYPH_HEIGHT - 0.8), (right, 0.0)]]
        case "R":
            return [*_glyph_lines("P", width), [(middle - 0.2, 4.0), (width - 0.4, GLYPH_HEIGHT)]]
        case "Z":
            return [[(0.1, top), (right, top), (left, bottom), (width, bottom)]]
        case "m":
            bow = (width - 1) / 4
            humps = [
                [*arc((start + bow, 3.6), (bow, 1.2), 180, 360), (start + 2 * bow, GLYPH_HEIGHT)]
                for start in (left, middle)
            ]
            return [[(left, 2.2), (left, GLYPH_HEIGHT)], *humps]
        case "t":
            stem = middle - 0.3
            return [[(stem, 0.5), (stem, 5.6), *arc((stem + 0.9, 5.6), 0.9, 180, 90)], [(0.0, 2.6), (width, 2.6)]]
        case _:
            raise ValueError(f"there is no glyph for {glyph!r}")


def lettering(sketch: Sketch, text: str, height: float, colour: Colour, *, widths: Sequence[float], gap: float) -> None:
    """Write text in the centre of the sign.

    Args:
        sketch: the sign.
        text: glyphs of `_glyph_lines`.
        height: height of the letters.
        colour: colour of the letters.
        widths: width of each letter, in stroke widths (a seventh of the height).
        gap: gap between letters, in stroke widths.

    Raises:
        ValueError: a glyph is not available.
    """
    stroke = height / GLYPH_HEIGHT
    x = 50 - (sum(widths) + gap * (len(text) - 1)) * stroke / 2
    for glyph, width in zip(text, widths, strict=True):
        local = sketch.placed(x, 50 - height / 2, scale=stroke)
        for line in _glyph_lines(glyph, width):
            local.stroke(line, 1.06, colour)
        x += (width + gap) * stroke


def speed(sketch: Sketch, digits: str, colour: Colour = BLACK) -> None:
    """Write the number of a speed limit; three digits use the condensed style."""
    if len(digits) <= 2:
        widths = [2.4 if digit == "1" else 4.45 for digit in digits]
        lettering(sketch, digits, 41, colour, widths=widths, gap=0.95)
    else:
        widths = [2.05 if digit == "1" else 3.75 for digit in digits]
        lettering(sketch, digits, 39, colour, widths=widths, gap=0.8)


# --- Vehicles -----------------------------------------------------------------------------------------------


def car_from_behind(sketch: Sketch, colour: Colour, window: Colour | None = WHITE) -> None:
    """Draw a car seen from behind, 27 wide and 22 high, centred at (0, 0)."""
    sketch.polygon(rounded([(-11.4, -3), (-8.6, -11.2), (8.6, -11.2), (11.4, -3)], 2.0), colour)
    if window is not None:
        sketch.polygon(rounded([(-9.3, -3.4), (-7.3, -9.4), (7.3, -9.4), (9.3, -3.4)], 1.0), window)
    sketch.polygon(rounded(rectangle(-13.5, -4.2, 13.5, 5), 1.8), colour)
    for side in (-1, 1):
        sketch.polygon(rounded([(side * x, y) for x, y in rectangle(7.6, 3, 11.8, 10.8)], 0.8), colour)


def truck_from_behind(sketch: Sketch, colour: Colour) -> None:
    """Draw a truck seen from behind, 27 wide and 35 high, centred at (0, 0)."""
    sketch.polygon(rounded(rectangle(-13.5, -17.5, 13.5, 9.2), 0.8), colour)
    sketch.polygon(rectangle(-11.8, 10.4, 11.8, 13), colour)
    for side in (-1, 1):
        sketch.polygon(rounded([(side * x, y) for x, y in rectangle(5.8, 10.4, 11.8, 17.5)], 0.8), colour)


def truck_from_the_side(sketch: Sketch) -> None:
    """Draw a truck facing left."""
    sketch.polygon(rounded(rectangle(39.3, 35.5, 79, 55), 0.8), BLACK)
    sketch.polygon(rounded([(21, 61.5), (21, 53.5), (23.8, 44), (26, 42.2), (37, 42.2), (37, 61.5)], 1.0), BLACK)
    sketch.polygon(rounded([(23.6, 52.4), (25.8, 45.4), (33.6, 45.4), (33.6, 52.4)], 0.8), WHITE)
    sketch.polygon(rectangle(21, 57, 79, 61.2), BLACK)
    for x in (29.5, 67):
        sketch.disc((x, 61.5), 6.1, WHITE)
        sketch.disc((x, 61.5), 4.8, BLACK)


def skidding_car(sketch: Sketch) -> None:
    """Draw a tilted car above two skid marks."""
    car_from_behind(sketch.placed(51, 56.5, scale=0.86, turn_degrees=13), BLACK)
    left = [(31.5, 73), (34, 69.8), (40, 69), (44.5, 70.6), (44.8, 73.2), (41, 75.2), (34.5, 78.8)]
    right = [(52.5, 70), (51.6, 73), (54.5, 75), (60, 74.4), (65, 75), (70, 78.6)]
    sketch.stroke(curve(left), 2.4, BLACK, round_ends=True)
    sketch.stroke(curve(right), 2.4, BLACK, round_ends=True)


def bicycle(sketch: Sketch, colour: Colour = BLACK) -> None:
    """Draw a bicycle facing left."""
    front, rear, pedals = (36.2, 70.3), (64.6, 70.3), (52.6, 70.3)
    head, seat = (41.3, 56.6), (56.8, 56.6)
    for wheel in (front, rear):
        sketch.ring(wheel, 8.2, 1.9, colour)
    for line in (
        [front, head, (42.6, 52.8)],
        [(38.9, 54.4), (40.2, 52.4), (42.6, 51.6), (47.0, 51.6)],
        [head, seat],
        [head, pedals],
        [(57.7, 53.4), pedals],
        [pedals, rear, seat],
    ):
        sketch.stroke(line, 1.9, colour, round_ends=True)
    sketch.stroke([(54.4, 52.6), (61.4, 52.0)], 2.6, colour, round_ends=True)
    sketch.disc(pedals, 2.2, colour)


def motorcycle(sketch: Sketch) -> None:
    """Draw a motorcycle with a rider, facing left."""
    for x in (30.5, 69.0):
        sketch.ring((x, 62.5), 7.6, 3.6, BLACK)
    sketch.stroke([(30.5, 62.5), (39.0, 45.5)], 2.8, BLACK, round_ends=True)
    sketch.stroke([(37.4, 44.6), (42.4, 43.4)], 2.2, BLACK, round_ends=True)
    machine = (
        (38.0, 50.4), (42.6, 47.6), (49.0, 48.8), (55.0, 51.4), (62.0, 50.8), (73.6, 50.0), (75.4, 52.0), (66.0, 54.6),
        (61.0, 57.0), (58.4, 63.8), (54.0, 66.6), (46.0, 66.4), (42.6, 62.0), (41.0, 55.6),
    )  # fmt: skip
    sketch.polygon(curve(machine, closed=True, steps=4), BLACK)
    sketch.stroke([(56, 65.0), (69.0, 62.5)], 2.4, BLACK, round_ends=True)
    sketch.disc((49.0, 29.2), 4.6, BLACK)
    sketch.stroke([(58.4, 48.4), (53.0, 37.6)], 7.4, BLACK, round_ends=True)
    sketch.stroke([(52.2, 37.0), (46.4, 43.6), (41.4, 42.8)], 3.2, BLACK, round_ends=True)


def bus_from_the_side(sketch: Sketch) -> None:
    """Draw a bus facing left."""
    sketch.polygon(rounded([(20.5, 61.5), (20.5, 50.0), (22.4, 38.0), (79.5, 38.0), (79.5, 61.5)], 2.2), BLACK)
    sketch.polygon(rounded([(22.8, 49.6), (24.4, 41.2), (29.4, 41.2), (29.4, 49.6)], 0.6), WHITE)
    for left in (32.0, 43.6, 55.2, 66.8):
        sketch.polygon(rounded(rectangle(left, 41.2, left + 9.2, 49.6), 0.6), WHITE)
    for x in (32.5, 67.5):
        sketch.disc((x, 61.5), 6.1, WHITE)
        sketch.disc((x, 61.5), 4.8, BLACK)


def train_from_the_front(sketch: Sketch) -> None:
    """Draw a train on rails."""
    for side in (-1, 1):
        sketch.stroke([(50 + side * 6.5, 70.0), (50 + side * 13.5, 80.4)], 2.4, BLACK)
    sketch.stroke([(39.6, 76.4), (60.4, 76.4)], 2.0, BLACK)
    body = [(39.0, 71.5), (39.0, 48.0), (42.0, 43.0), (58.0, 43.0), (61.0, 48.0), (61.0, 71.5)]
    sketch.polygon(rounded(body, 2.0), BLACK)
    for side in (-1, 1):
        window = [(50 + side * x, y) for x, y in ((1.0, 47.0), (8.0, 47.0), (9.0, 50.0), (9.0, 56.6), (1.0, 56.6))]
        sketch.polygon(window, WHITE)
        sketch.disc((50 + side * 7.0, 65.0), 2.1, WHITE)


# --- People and animals -------------------------------------------------------------------------------------


def pedestrian(sketch: Sketch, colour: Colour = BLACK) -> None:
    """Draw an adult walking left."""
    sketch.disc((48.4, 39.6), 3.5, colour)
    sketch.polygon(rounded([(47.2, 45.0), (55.4, 45.0), (54.8, 60.6), (47.6, 60.6)], 1.4), colour)
    sketch.stroke([(48.6, 46.9), (43.4, 54.4), (40.3, 60.2)], 3.4, colour, round_ends=True)
    sketch.stroke([(53.8, 46.7), (58.6, 51.6), (59.6, 58.6)], 3.4, colour, round_ends=True)
    sketch.stroke([(50.0, 63.6), (45.6, 71.6), (40.6, 79.6)], 4.0, colour)
    sketch.stroke([(51.6, 63.6), (57.4, 70.0), (61.6, 79.0)], 4.0, colour)
    sketch.polygon([(47.6, 62.0), (54.8, 62.0), (54.0, 66.0), (47.0, 66.0)], colour)


def children(sketch: Sketch) -> None:
    """Draw a taller and a smaller child running left, hand in hand."""
    bigger = sketch.placed(55, 60)
    bigger.disc((-1.6, -16.6), 3.4, BLACK)
    bigger.polygon(rounded([(-2.6, -11.6), (4.4, -11.4), (4.8, 2.4), (-1.2, 2.4)], 1.2), BLACK)
    bigger.stroke([(-0.6, -9.8), (-6.4, -6.4), (-11.6, -1.2)], 3.0, BLACK, round_ends=True)
    bigger.stroke([(2.6, -9.9), (9.4, -8.2), (12.0, -3.4)], 3.0, BLACK, round_ends=True)
    bigger.stroke([(1.0, 0.0), (0.2, 9.0), (-1.4, 17.6)], 3.6, BLACK, round_ends=True)
    bigger.stroke([(3.0, 0.6), (7.4, 8.0), (16.0, 11.6)], 3.6, BLACK, round_ends=True)
    smaller = sketch.placed(37, 66)
    smaller.disc((-1.6, -9.8), 3.0, BLACK)
    smaller.polygon(rounded([(-2.0, -5.6), (3.2, -5.4), (3.4, 3.6), (-1.6, 3.6)], 1.0), BLACK)
    smaller.stroke([(-0.6, -4.2), (-5.0, -0.6), (-8.4, 1.0)], 2.5, BLACK, round_ends=True)
    smaller.stroke([(2.0, -4.2), (6.4, -3.2), (7.4, -0.2)], 2.5, BLACK, round_ends=True)
    smaller.stroke([(0.2, 3.0), (-0.4, 7.2), (-2.0, 12.2)], 2.9, BLACK, round_ends=True)
    smaller.stroke([(2.0, 2.8), (4.4, 6.2), (10.2, 6.8)], 2.9, BLACK, round_ends=True)


def worker(sketch: Sketch) -> None:
    """Draw a worker shovelling a heap."""
    sketch.disc((50.2, 43.4), 3.3, BLACK)
    sketch.polygon(rounded([(38.0, 46.8), (46.8, 46.4), (49.6, 49.8), (45.6, 62.0), (39.0, 62.0)], 1.6), BLACK)
    sketch.stroke([(40.4, 48.6), (36.6, 50.6), (34.4, 57.0)], 3.0, BLACK, round_ends=True)
    sketch.stroke([(47.6, 49.8), (49.6, 57.0), (48.2, 64.0)], 3.0, BLACK, round_ends=True)
    sketch.stroke([(33.4, 55.2), (54.0, 68.4)], 1.5, BLACK, round_ends=True)
    sketch.stroke([(41.4, 60.0), (37.6, 69.6), (31.6, 79.4)], 4.0, BLACK)
    sketch.stroke([(42.6, 60.0), (47.0, 68.6), (47.4, 79.4)], 4.0, BLACK)
    sketch.polygon(rounded([(50.6, 79.4), (63.0, 65.0), (66.0, 65.6), (77.6, 79.4)], 1.4), BLACK)


def deer(sketch: Sketch) -> None:
    """Draw a deer leaping left."""
    body = (
        (38.6, 48.0), (42.4, 45.8), (46.0, 45.2), (48.4, 46.4), (47.6, 49.6), (48.4, 54.0), (50.8, 57.2),
        (56.0, 58.8), (62.0, 60.2), (66.4, 62.2), (68.6, 62.0), (67.6, 64.4), (66.8, 66.6), (67.6, 69.8),
        (71.2, 73.0), (74.2, 76.6), (76.8, 80.0), (74.2, 79.6), (71.4, 75.8), (68.4, 73.8), (64.2, 72.2),
        (61.6, 68.6), (55.2, 67.0), (49.8, 65.2), (46.4, 65.4), (42.2, 65.2), (45.0, 68.8), (43.0, 69.4),
        (39.4, 65.2), (39.6, 63.4), (45.0, 62.6), (43.6, 61.0), (37.6, 60.8), (37.8, 59.0), (44.2, 58.6),
        (43.8, 55.0), (43.8, 51.4), (43.0, 49.8), (40.0, 49.8),
    )  # fmt: skip
    sketch.polygon(curve(body, closed=True, steps=4), BLACK)
    for antler in ([(46.0, 46.0), (49.4, 43.2), (53.2, 41.6)], [(45.2, 46.0), (46.6, 42.8), (49.4, 39.8)]):
        sketch.stroke(curve(antler), 1.4, BLACK, round_ends=True)
    sketch.stroke([(49.6, 43.0), (50.6, 40.8)], 1.2, BLACK, round_ends=True)
    sketch.stroke([(47.2, 46.4), (50.6, 46.0)], 1.8, BLACK, round_ends=True)


def cow(sketch: Sketch) -> None:
    """Draw a cow walking left."""
    body = (
        (36.6, 55.4), (46.0, 56.2), (56.0, 55.6), (63.0, 55.4), (66.2, 58.0), (66.6, 64.0), (64.8, 68.6), (58.0, 68.2),
        (50.0, 69.6), (42.0, 69.0), (38.0, 66.4), (35.4, 62.0), (32.6, 63.6), (29.2, 67.6), (26.4, 67.6), (25.8, 65.2),
        (28.4, 59.4), (30.6, 56.6),
    )  # fmt: skip
    sketch.polygon(curve(body, closed=True, steps=4), BLACK)
    for leg in (
        [(41.0, 66.0), (40.0, 79.8)],
        [(45.4, 67.0), (46.6, 79.8)],
        [(60.0, 67.0), (58.6, 79.8)],
        [(64.4, 64.0), (65.0, 72.0), (66.0, 79.8)],
    ):
        sketch.stroke(leg, 3.4, BLACK)
    sketch.disc((55.4, 69.0), 2.6, BLACK)
    sketch.stroke(curve([(31.8, 57.0), (30.4, 54.6), (31.4, 52.6)]), 1.5, BLACK, round_ends=True)
    sketch.stroke([(33.0, 57.6), (36.6, 52.6)], 1.5, BLACK, round_ends=True)
    sketch.stroke(curve([(65.6, 57.4), (69.4, 60.0), (70.0, 69.0)]), 1.6, BLACK, round_ends=True)


# --- Road and weather ---------------------------------------------------------------------------------------


def exclamation_mark(sketch: Sketch) -> None:
    """Draw the exclamation mark of the general warning sign."""
    sketch.polygon(rounded([(45.0, 33.0), (55.0, 33.0), (52.4, 66.0), (47.6, 66.0)], 2.2), BLACK)
    sketch.disc((50, 74.4), 4.6, BLACK)


def bend(sketch: Sketch) -> None:
    """Draw a bend to the left."""
    sketch.stroke([(59.5, 80.0), *arc((47.0, 66.5), 12.5, 0, -90), (42.0, 54.0)], 9.4, BLACK)
    sketch.polygon([(54.7, 80.5), (59.5, 75.0), (64.3, 80.5)], WHITE)
    sketch.polygon([(32.4, 54.0), (43.4, 45.8), (43.4, 62.2)], BLACK)


def double_bend(sketch: Sketch) -> None:
    """Draw a double bend, first to the left."""
    sketch.stroke([(60.0, 78.5), (60.0, 60.2), (42.4, 65.2), (42.4, 46.0)], 8.0, BLACK)
    sketch.polygon([(55.8, 79.0), (60.0, 74.2), (64.2, 79.0)], WHITE)
    sketch.polygon([(42.4, 38.6), (46.9, 47.0), (37.9, 47.0)], BLACK)


def crossing_with_right_of_way(sketch: Sketch) -> None:
    """Draw a wide road crossing a narrow one."""
    half = (
        (50.0, 36.6), (59.6, 48.6), (55.8, 48.6), (55.8, 56.4), (66.4, 56.4), (66.4, 62.0), (55.8, 62.0),
        (56.6, 79.4), (50.0, 73.6),
    )  # fmt: skip
    sketch.polygon([*half, *((100 - x, y) for x, y in reversed(half))], BLACK)


def bumps(sketch: Sketch) -> None:
    """Draw two bumps on a road."""
    ground = [
        (27.5, 79.0),
        (27.5, 76.0),
        *curve([(30.5, 75.6), (34.5, 73.8), (40.0, 68.4), (45.0, 72.4), (50.0, 75.2)]),
    ]
    sketch.polygon([*ground, *((100 - x, y) for x, y in reversed(ground))], BLACK)


def narrowing(sketch: Sketch) -> None:
    """Draw a road narrowing on the right."""
    sketch.stroke([(42.6, 80.0), (42.6, 43.0)], 4.8, BLACK)
    sketch.stroke([(60.6, 80.0), (60.6, 68.0), (53.4, 57.0), (53.4, 43.0)], 4.8, BLACK)


def narrowing_on_both_sides(sketch: Sketch) -> None:
    """Draw a road narrowing on both sides."""
    for side in (-1, 1):
        line = ((13.4, 80.0), (13.4, 68.0), (4.4, 57.0), (4.4, 42.0))
        sketch.stroke([(50 + side * x, y) for x, y in line], 4.8, BLACK)


def two_way_traffic(sketch: Sketch) -> None:
    """Draw an arrow pointing down next to one pointing up."""
    down = sketch.placed(42.4, 61.5, turn_degrees=180)
    for arrow in (down, sketch.placed(57.6, 61.5)):
        arrow.stroke([(0, 18), (0, -8)], 4.6, BLACK)
        arrow.polygon([(0, -18), (6.4, -6.4), (-6.4, -6.4)], BLACK)


def steep_hill(sketch: Sketch) -> None:
    """Draw a road descending to the right, with its gradient."""
    sketch.polygon([(25.4, 79.6), (31.4, 69.2), (73.6, 79.6)], BLACK)
    text = sketch.placed(53.5, 64.0, turn_degrees=13.8).placed(-50, -50)
    lettering(text, "10%", 14, BLACK, widths=(2.3, 3.9, 6.0), gap=0.8)


def falling_rocks(sketch: Sketch) -> None:
    """Draw rocks falling from a cliff on the right."""
    cliff = (
        (73.6, 79.6), (52.6, 79.6), (55.4, 74.0), (53.6, 69.0), (56.6, 64.4), (54.2, 57.6), (56.6, 52.4), (55.0, 47.6),
    )  # fmt: skip
    sketch.polygon(cliff, BLACK)
    rocks = (
        (47.6, 53.4, 3.2, 10), (43.4, 62.6, 3.8, 40), (49.4, 66.6, 2.3, 70), (39.4, 73.6, 4.6, 20),
        (47.4, 75.6, 3.3, 5), (31.4, 77.2, 2.6, 35),
    )  # fmt: skip
    for x, y, size, turn in rocks:
        rock = sketch.placed(x, y, scale=size, turn_degrees=turn)
        rock.polygon([(-1, -0.5), (-0.1, -1), (0.9, -0.6), (1, 0.5), (0.2, 1), (-0.9, 0.6)], BLACK)


def wind_sock(sketch: Sketch) -> None:
    """Draw a striped wind sock blowing left."""
    sketch.stroke([(63.6, 79.8), (63.6, 53.4)], 2.4, BLACK)
    sock = ((62.4, 54.6, 6.6), (55.2, 56.4, 5.8), (48.0, 58.4, 5.0), (40.8, 60.4, 4.2), (33.6, 62.4, 3.4))
    for index, ((x, y, half), (next_x, next_y, next_half)) in enumerate(pairwise(sock)):
        for hem, colour in ((0.0, BLACK), (1.0, WHITE if index % 2 else BLACK)):
            near, far = half - hem, next_half - hem
            sketch.polygon([(x, y - near), (x, y + near), (next_x, next_y + far), (next_x, next_y - far)], colour)


def queue(sketch: Sketch) -> None:
    """Draw a queue of three cars."""
    for x, y, scale in ((50, 43.0, 0.46), (50, 54.8, 0.62), (50, 70.8, 0.84)):
        car_from_behind(sketch.placed(x, y, scale=scale), BLACK)


def traffic_light(sketch: Sketch) -> None:
    """Draw the three lights of a traffic light."""
    for y, colour in ((43.2, RED), (57.8, YELLOW), (72.4, GREEN)):
        sketch.disc((50, y), 6.5, colour)


def snowflake(sketch: Sketch) -> None:
    """Draw a snowflake."""
    for turn in range(0, 360, 60):
        arm = sketch.placed(50, 63.6, turn_degrees=turn)
        arm.stroke([(0, 0), (0, -15.2)], 2.7, BLACK)
        arm.stroke([(-4.6, -14.4), (0, -9.6), (4.6, -14.4)], 2.5, BLACK)
        arm.stroke([(-3.6, -8.4), (0, -4.6), (3.6, -8.4)], 2.3, BLACK)


# --- Arrows -------------------------------------------------------------------------------------------------


def _open_head(sketch: Sketch, tip: Point, turn_degrees: float, length: float, half_width: float, bar: float) -> None:
    """Draw an arrow head made of two bars; at a turn of 0 it points right."""
    outline = ((0.0, 0.0), (-length, half_width), (-length - bar, half_width), (-bar, 0.0))
    other_half = [(x, -y) for x, y in outline[2:0:-1]]
    sketch.placed(*tip, turn_degrees=turn_degrees).polygon([*outline, *other_half], WHITE)


def _full_head(sketch: Sketch, tip: Point, turn_degrees: float, length: float, half_width: float) -> None:
    """Draw a filled arrow head with a notched back; at a turn of 0 it points right."""
    outline = [(0.0, 0.0), (-length, half_width), (-length + 2.5, 0.0), (-length, -half_width)]
    sketch.placed(*tip, turn_degrees=turn_degrees).polygon(outline, WHITE)


def arrow_ahead(sketch: Sketch) -> None:
    """Draw an arrow pointing up."""
    sketch.stroke([(50, 87), (50, 22)], 11.5, WHITE)
    _open_head(sketch, (50, 12), -90, 28, 23, 15.5)


def arrow_turning_left(sketch: Sketch) -> None:
    """Draw an arrow that starts at the bottom and bends left."""
    sketch.stroke([(64, 84), *arc((43.5, 58), 20.5, 0, -90), (26, 37.5)], 11.5, WHITE)
    _open_head(sketch, (15.5, 37.5), 180, 23, 20, 14.5)


def arrow_down_left(sketch: Sketch) -> None:
    """Draw an arrow pointing down and left."""
    sketch.stroke([(76, 24), (32, 68)], 12.5, WHITE)
    _open_head(sketch, (23.2, 76.8), 135, 27, 27, 16)


def arrows_ahead_and_left(sketch: Sketch) -> None:
    """Draw an arrow pointing up with a branch that bends left."""
    sketch.stroke([(62, 89), (62, 34)], 11.5, WHITE)
    _full_head(sketch, (62, 9), -90, 30, 16)
    sketch.stroke(curve([(62, 87), (58, 75), (51.5, 67.5), (44, 63.6), (34, 62.2)]), 11, WHITE)
    _full_head(sketch, (9, 62), 180, 28, 15.5)


def arrows_in_a_circle(sketch: Sketch) -> None:
    """Draw three arrows in a circle, counter-clockwise."""
    radius = 31.0
    for head in (166, 46, -74):
        sketch.stroke(arc((50, 50), radius, head + 96, head + 32), 9.5, WHITE)
        angle = math.radians(head)
        tip = (50 + radius * math.cos(angle), 50 + radius * math.sin(angle))
        # Turn the straight head slightly inwards, so that it lies on the circle.
        _full_head(sketch, tip, head - 90 + 17, 20, 10.5)


def arrow_left(sketch: Sketch) -> None:
    """Draw an arrow pointing left."""
    arrow_ahead(sketch.placed(0, 100, turn_degrees=-90))


def oncoming_traffic_first(sketch: Sketch) -> None:
    """Draw a large black arrow pointing down next to a smaller red one pointing up."""
    sketch.stroke([(39, 24), (39, 58)], 8.6, BLACK)
    sketch.polygon([(39, 77), (51, 55), (27, 55)], BLACK)
    sketch.stroke([(63, 70), (63, 46)], 5.6, RED)
    sketch.polygon([(63, 30), (72, 47.5), (54, 47.5)], RED)
