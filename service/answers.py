"""The options of a request, and pictures in and out, shared by the event loop, the routes and the command line."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from data.errors import BoxError, ImageError
from data.images import MAX_BYTES, Box, Picture
from data.images import encode as encode_png
from data.photo import Photo
from model.artifact import Card
from model.recogniser import with_margin
from service.problems import TOO_LARGE, Problem

DEFAULT_TOP_K: Final = 5
PREVIEW_SIDE: Final = 1600  # longest side of a preview in pixels; screens rarely show a photo larger
_BOX: Final = re.compile(r"\d{1,9}(,\d{1,9}){3}", re.ASCII)
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The options of a request.

    `top_k` is the number of alternatives, `explain` adds a heat map, `thumbnail` adds a picture of what the classifier
    saw, `box` is the part of the picture to classify, None for all of it, `locate` looks for an object in a picture
    that is not recognised as a whole, and `preview` adds the whole picture if every object is wanted.
    """

    top_k: int
    explain: bool
    thumbnail: bool = False
    box: Box | None = None
    locate: bool = True
    preview: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str], card: Card) -> "Options":
        """Read the options in a query.

        Raises:
            Problem: a value is invalid.
        """
        count = len(card.labels)
        top_k = query.get("top_k", str(min(DEFAULT_TOP_K, count)))
        if not (len(top_k) <= 9 and top_k.isascii() and top_k.isdigit() and 1 <= int(top_k) <= count):
            raise Problem("bad_request", f"top_k must be an integer from 1 to {count}, not {top_k!r}.")
        return cls(
            int(top_k),
            read_switch(query, "explain"),
            read_switch(query, "thumbnail"),
            read_box(query),
            read_switch(query, "locate", "true"),
            read_switch(query, "preview"),
        )


def read_switch(query: Mapping[str, str], name: str, default: str = "false") -> bool:
    """Return whether a parameter of a query is `true`.

    Raises:
        Problem: it is neither `true` nor `false`.
    """
    value = query.get(name, default)
    if value not in ("true", "false"):
        raise Problem("bad_request", f"{name} must be true or false, not {value!r}.")
    return value == "true"


def read_box(query: Mapping[str, str]) -> Box | None:
    """Return the box in a query, or None; it may still lie outside the picture.

    Raises:
        Problem: it is not a box.
    """
    text = query.get("box")
    if text is None:
        return None
    if not _BOX.fullmatch(text):
        raise Problem("bad_request", f"box must be left,top,right,bottom in integer pixels, not {text!r}.")
    left, top, right, bottom = map(int, text.split(","))
    return left, top, right, bottom


def open_picture(payload: bytes) -> Picture:
    """Read the header of a picture.

    Raises:
        Problem: it is empty, too large, or cannot be read.
    """
    if not payload:
        raise Problem("nothing_sent", "The image is empty (0 bytes).")
    if len(payload) > MAX_BYTES:
        raise Problem("too_large", TOO_LARGE)
    return readable(lambda: Picture(payload))


def cut(picture: Picture, box: Box, margin: float = 0.0) -> bytes:
    """Return a part of a picture as a lossless PNG file, with a margin as a fraction of the sides of the result.

    Raises:
        Problem: the picture is damaged, or the box is not inside it.
    """
    return readable(lambda: picture.crop(box, with_margin(box, margin) if margin else None))


def thumbnail(pixels: npt.NDArray[np.uint8]) -> str:
    """Return pixels, shape (height, width, 3), uint8, as a base64-encoded PNG file."""
    return base64.b64encode(encode_png(pixels)).decode("ascii")


def preview(photo: Photo) -> str:
    """Return a whole photo, reduced to `PREVIEW_SIDE`, as a base64-encoded JPEG file."""
    return base64.b64encode(photo.preview(PREVIEW_SIDE)).decode("ascii")


def as_sentence(text: str) -> str:
    """Return an error message as a sentence."""
    is_word = text.partition(" ")[0].isalpha()  # and not the name of a file
    return f"{text[0].upper() if is_word else text[0]}{text[1:]}."


def readable(read: Callable[[], T]) -> T:
    """Return what a function reads from a picture.

    Raises:
        Problem: the picture is damaged, or the box is not inside it.
    """
    try:
        return read()
    except ImageError as error:
        raise Problem("unreadable_image", as_sentence(str(error))) from error
    except BoxError as error:
        raise Problem("bad_request", as_sentence(str(error))) from error
