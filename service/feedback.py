"""Pictures that users label, kept for later training."""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from data.errors import StorageFullError
from data.feedback import feedback_folder, keep
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


def read_part(query: Mapping[str, str], card: Card) -> tuple[Box | None, float]:
    """Return the box in a query, or None, and the margin to keep around it, as a fraction of the sides of the result.

    The box of a sign that the service located lies tightly around it. Training expects the margin that the classifier
    saw. A box that a person draws has the margin that they left.

    Raises:
        Problem: it is not a box, or the sign was located but has no box.
    """
    box, located = read_box(query), read_switch(query, "located")
    if located and box is None:
        raise Problem("bad_request", "`located` needs the `box` of the sign.")
    return box, card.detector["margin"] if located and card.detector else 0.0


def keep_picture(
    payload: bytes, box: Box | None, margin: float, class_index: int | None, card: Card, store: Path
) -> str:
    """Keep a picture, or a part of it and the margin around it, and return its path in the feedback folder.

    Raises:
        Problem: it cannot be read, the box is not inside it, or it cannot be stored.
    """
    picture = open_picture(payload)
    if box is not None:
        payload = cut(picture, box, margin)
        if len(payload) > MAX_BYTES:
            raise Problem("too_large", f"The lossless crop has {len(payload):,} bytes; the limit is {MAX_BYTES:,}.")
        picture = open_picture(payload)
    readable(lambda: picture.decode(card.input_size))  # a damaged picture would stop the training
    try:
        return keep(feedback_folder(store, card.task), payload, picture.extension, class_index)
    except StorageFullError as error:
        raise Problem("storage_full", as_sentence(str(error))) from error
    except OSError as error:
        raise Problem("storage_full", f"The picture could not be saved: {error.strerror}.") from error
