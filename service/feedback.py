"""Pictures that users label, kept for later training."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from data.errors import SourceError, StorageFullError
from data.feedback import FeedbackPhoto, feedback_folder, keep
from data.images import MAX_BYTES, Box
from data.source import NONE
from model.artifact import Card
from service.answers import as_sentence, cut, open_picture, read_box, read_switch, readable
from service.problems import Problem

OFF: Final = "Feedback is disabled; set SERVICE_FEEDBACK=true to enable it."


def check_origin(origin: str | None, host: str, origins: Collection[str]) -> None:
    """Reject requests that a page of another origin sends, unless that origin is allowed.

    Such a page could not read the answer, but its pictures would be kept and trained on. A page under a host name may
    have changed the name to point to this service (DNS rebinding), so that its origin looks like ours. Only `localhost`
    and IP addresses are therefore accepted without being listed.

    Raises:
        Problem: the origin is not allowed.
    """
    if origin is None or origin in origins:
        return
    try:
        parts = urlsplit(origin)
        ours = parts.netloc == host and (parts.hostname == "localhost" or bool(ip_address(parts.hostname or "")))
    except ValueError:  # not a URL, or a host name
        ours = False
    if not ours:
        raise Problem("foreign_page", f"{origin} is not listed in SERVICE_CORS_ORIGINS.")


def read_class_index(query: Mapping[str, str], card: Card) -> int | None:
    """Return the class index in a query; None for none of the classes.

    Raises:
        Problem: it is missing, or there is no such class.
    """
    text, count = query.get("class_index", ""), len(card.labels)
    if text == NONE:
        return None
    if not (len(text) <= 9 and text.isascii() and text.isdigit() and int(text) < count):
        raise Problem("bad_request", f"class_index must be an integer from 0 to {count - 1}, or none, not {text!r}.")
    return int(text)


@dataclass(frozen=True)
class Part:
    """The part of a picture that feedback is about.

    Attributes:
        box: in pixels of the upright picture.
        located: whether the service found the box; otherwise a person drew it.
    """

    box: Box
    located: bool


def read_part(query: Mapping[str, str]) -> Part | None:
    """Return the part in a query, or None for the whole picture.

    Raises:
        Problem: it is not a box, or the sign was located but has no box.
    """
    box, located = read_box(query), read_switch(query, "located")
    if located and box is None:
        raise Problem("bad_request", "`located` needs the `box` of the sign.")
    return Part(box, located) if box else None


def keep_picture(payload: bytes, part: Part | None, class_index: int | None, card: Card, store: Path) -> str:
    """Keep a picture, or a part of it, for later training, and return its path in the feedback folder.

    A part is kept for the classifier. If the task has a detector, the whole picture is kept too, with the box.

    Raises:
        Problem: it cannot be read, the box is not inside it, or it cannot be stored.
    """
    picture = open_picture(payload)
    photo = None
    if part:
        # The box of a sign that the service located lies tightly around it. Training expects the margin that the
        # classifier saw. A box that a person draws has the margin that they left.
        margin = card.detector["margin"] if part.located and card.detector else 0.0
        if card.detector:
            photo = FeedbackPhoto(payload, picture.extension, part.box, part.located)
        payload = cut(picture, part.box, margin)
        if len(payload) > MAX_BYTES:
            raise Problem("too_large", f"The lossless crop has {len(payload):,} bytes; the limit is {MAX_BYTES:,}.")
        picture = open_picture(payload)
    readable(lambda: picture.decode(card.input_size))  # a damaged picture would stop the training
    try:
        return keep(feedback_folder(store, card.task), payload, picture.extension, class_index, photo)
    except StorageFullError as error:
        raise Problem("storage_full", as_sentence(str(error))) from error
    except SourceError as error:  # its message names a path
        raise Problem("storage_full", "The picture could not be saved: its list of boxes is damaged.") from error
    except OSError as error:
        raise Problem("storage_full", f"The picture could not be saved: {error.strerror}.") from error
