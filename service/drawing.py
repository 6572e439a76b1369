"""Draw boxes and names on a photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data.images import Box, encode
from data.photo import Photo
from model.calibrate import Verdict

COLOURS: dict[Verdict, tuple[int, int, int]] = {
    "confident": (0, 140, 60),
    "unsure": (200, 110, 0),
    "not_recognised": (110, 110, 110),
}
THINNEST, SMALLEST = 2, 13  # pixels: line of a box, height of the text
LINES, TEXT_LINES = 250, 35  # of these would fill the shorter side of a large photo


@dataclass(frozen=True)
class Mark:
    """A box, in pixels of the upright photo at full resolution, with a text and the verdict that gives its colour."""

    box: Box
    text: str
    verdict: Verdict


def draw(photo: Photo, marks: Sequence[Mark]) -> bytes:
    """Return a PNG file of the decoded photo with marks on it; earlier marks cover later ones.

    A text stands above its box, below or beside it, wherever it hides least of the other marks.
    """
    image = Image.fromarray(photo.pixels)
    canvas = ImageDraw.Draw(image)
    side = min(image.size)
    line = max(THINNEST, side // LINES)
    font = ImageFont.load_default(max(SMALLEST, side // TEXT_LINES))
    boxes = [_scaled(mark.box, photo.scale) for mark in marks]
    taken = list(boxes)
    for mark, (left, top, right, bottom) in reversed(list(zip(marks, boxes, strict=True))):
        colour = COLOURS[mark.verdict]
        width = THINNEST if mark.verdict == "not_recognised" else line
        canvas.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour, width=width)
        _, _, across, down = canvas.textbbox((0, 0), mark.text, font)
        place = _find_place((int(across) + 6, int(down) + 4), (left, top, right, bottom), taken, image.size)
        taken.append(place)
        canvas.rectangle(place, fill=colour)
        canvas.text((place[0] + 3, place[1] + 2), mark.text, fill=(255, 255, 255), font=font)
    return encode(np.asarray(image))


def _find_place(size: tuple[int, int], box: Box, taken: Sequence[Box], picture: tuple[int, int]) -> Box:
    """Return the place next to a box where a text of this width and height covers least of what is taken."""
    width, height = size
    left, top, right, bottom = box

    def shift_inside(corner: tuple[int, int]) -> Box:
        x, y = (max(0, min(low, end - side)) for low, end, side in zip(corner, picture, size, strict=True))
        return x, y, x + width, y + height

    corners = ((left, top - height), (left, bottom), (right, top), (left - width, top))
    return min(map(shift_inside, corners), key=lambda place: sum(_common_area(place, other) for other in taken))


def _common_area(one: Box, other: Box) -> int:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, across) * max(0, down)


def _scaled(box: Box, scale: float) -> Box:
    left, top, right, bottom = (round(edge * scale) for edge in box)
    return left, top, right, bottom
