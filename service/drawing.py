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
    """Return a PNG file of the decoded photo with marks on it; earlier marks cover later ones."""
    image = Image.fromarray(photo.pixels)
    canvas = ImageDraw.Draw(image)
    side = min(image.size)
    line = max(THINNEST, side // LINES)
    font = ImageFont.load_default(max(SMALLEST, side // TEXT_LINES))
    for mark in reversed(marks):
        colour = COLOURS[mark.verdict]
        left, top, right, bottom = (round(edge * photo.scale) for edge in mark.box)
        width = THINNEST if mark.verdict == "not_recognised" else line
        canvas.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=colour, width=width)
        _write(canvas, mark.text, (left, top, bottom), font, colour)
    return encode(np.asarray(image))


def _write(
    canvas: ImageDraw.ImageDraw,
    text: str,
    place: tuple[int, int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
) -> None:
    """Write a text above a box, or below it if there is no room above; inside the picture where possible."""
    left, top, bottom = place
    _, _, across, down = canvas.textbbox((0, 0), text, font)
    width, height = int(across) + 6, int(down) + 4
    columns, rows = canvas.im.size
    x = max(0, min(left, columns - width))
    y = top - height if top >= height else min(bottom, rows - height)
    canvas.rectangle((x, y, x + width, y + height), fill=colour)
    canvas.text((x + 3, y + 2), text, fill=(255, 255, 255), font=font)
