"""Pictures that people name, kept for a later training."""

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
from service.answers import as_sentence, cut, decode, open_picture
from service.problems import Problem
from service.stages import Stages

OFF: Final = "This service keeps no pictures; SERVICE_FEEDBACK=true would let it."


def check_origin(origin: str | None, host: str, origins: Collection[str]) -> None:
    """Refuse what a page of another origin makes its visitor's browser send, unless it is one of those allowed.

    It could not read the answer, but pictures would be kept and trained on. A page under a name may have let that name
    lead here since it was loaded (DNS rebinding), so that its origin looks like ours; one under an address may not.

    Raises:
        Problem: it is.
    """
    if origin is None or origin in origins:
        return
    try:
        parts = urlsplit(origin)
        ours = parts.netloc == host and (parts.hostname == "localhost" or bool(ip_address(parts.hostname or "")))
    except ValueError:  # no URL, or a name
        ours = False
    if not ours:
        raise Problem("foreign_page", f"SERVICE_CORS_ORIGINS does not name {origin}.")


def read_class_index(query: Mapping[str, str], card: Card) -> int | None:
    """Return what a picture is said to show; None for none of the classes.

    Raises:
        Problem: nothing is said, or there is no such class.
    """
    text, count = query.get("class_index", ""), len(card.labels)
    if text == NONE:
        return None
    if not (len(text) <= 9 and text.isascii() and text.isdigit() and int(text) < count):
        raise Problem(
            "bad_request", f"class_index must be a whole number from 0 to {count - 1}, or none, not {text!r}."
        )
    return int(text)


def keep_picture(payload: bytes, box: Box | None, class_index: int | None, card: Card, store: Path) -> str:
    """Keep a picture that can be trained on, or a part of it, and return where.

    Raises:
        Problem: it cannot be read, has no such part, or there is no room for it.
    """
    picture = open_picture(payload)
    if box is not None:
        payload = cut(picture, box)
        if len(payload) > MAX_BYTES:
            raise Problem("too_large", f"Without loss this part has {len(payload):,} bytes; {MAX_BYTES:,} are kept.")
        picture = open_picture(payload)
    decode(picture, card, None, Stages())  # a damaged one would stop the training
    try:
        return keep(feedback_folder(store, card.task), payload, picture.extension, class_index)
    except StorageFullError as error:
        raise Problem("storage_full", as_sentence(str(error))) from error
    except OSError as error:
        raise Problem("storage_full", f"The disk does not take the picture: {error.strerror}.") from error
