"""Boxes and names on photos."""

import io

import numpy as np
import pytest
from PIL import Image

from data.images import Box
from data.photo import Photo
from model.calibrate import Verdict
from service.drawing import COLOURS, Mark, draw

GREY = (128, 128, 128)


def drawn(*marks: Mark, size: tuple[int, int] = (400, 300), full: tuple[int, int] = (300, 400)) -> Image.Image:
    """Return a grey photo with marks; `size` is that of the decoded photo, `full` height and width of the file."""
    with Image.open(io.BytesIO(draw(Photo(Image.new("RGB", size, GREY), full), marks))) as image:
        return image.convert("RGB")


def test_photo_without_marks_is_unchanged() -> None:
    assert np.unique(np.asarray(drawn())).tolist() == [128]


@pytest.mark.parametrize("verdict", COLOURS)
def test_box_is_drawn_inside_its_edges_in_the_colour_of_the_verdict(verdict: Verdict) -> None:
    image = drawn(Mark((100, 120, 200, 220), "Stop", verdict))
    for place in ((100, 170), (199, 170), (150, 120), (150, 219)):
        assert image.getpixel(place) == COLOURS[verdict]
    for place in ((150, 170), (99, 210), (200, 210), (150, 220)):
        assert image.getpixel(place) == GREY


def test_boxes_are_scaled_to_the_decoded_photo() -> None:
    image = drawn(Mark((1000, 1200, 2000, 2200), "Stop", "confident"), full=(3000, 4000))
    assert image.getpixel((100, 170)) == image.getpixel((199, 170)) == COLOURS["confident"]


@pytest.mark.parametrize("box", [(0, 0, 400, 300), (0, 0, 1, 1), (399, 299, 400, 300), (300, 0, 400, 20)])
def test_text_stays_in_the_picture(box: Box) -> None:
    """The background of the text is as large as in the middle of the picture."""

    def coloured(place: Box) -> int:
        pixels = np.asarray(drawn(Mark(place, "Right-of-way at the next intersection", "confident")))
        return int((pixels != GREY).any(axis=2).sum())

    text = coloured((100, 150, 101, 151))
    assert coloured(box) > 0.98 * text


def test_first_mark_covers_the_others() -> None:
    image = drawn(Mark((100, 120, 200, 220), "", "confident"), Mark((100, 120, 200, 220), "", "unsure"))
    assert image.getpixel((100, 170)) == COLOURS["confident"]


def test_text_does_not_cover_another_box() -> None:
    """Two signs on one pole: the text of the lower one would lie on the upper one if it stood above its box."""
    upper, lower = Mark((150, 60, 250, 150), "", "confident"), Mark((150, 150, 250, 240), "Keep right", "unsure")
    alone, both = np.asarray(drawn(upper)), np.asarray(drawn(upper, lower))
    assert (alone[60:150, 150:250] == both[60:150, 150:250]).all()
