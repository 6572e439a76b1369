"""Feedback: pictures that users labelled, saved for a later training.

Files are stored as <store>/feedback/<task>/<class>/<SHA-256><extension>, which `data.source` can read. Pictures
that show none of the classes are in the folder `none`.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import StorageFullError
from data.source import FEEDBACK, NONE

MAX_PICTURES = 20_000
MAX_KEPT_BYTES = 1024**3
_LOCK_FILE, _TEMPORARY_FILE = ".lock", ".new"


def feedback_folder(store: Path, task_name: str) -> Path:
    """Return the folder that holds the feedback on a task."""
    return store / FEEDBACK / task_name


def keep(folder: Path, payload: bytes, extension: str, class_index: int | None) -> str:
    """Save a picture in the folder of its class. A picture that was saved before moves to its new class.

    Args:
        folder: the folder from `feedback_folder`; it is created if it does not exist.
        payload: a whole picture file.
        extension: file name extension of its format, such as ".png".
        class_index: class that the picture shows, or None for none of the classes.

    Returns:
        Path of the saved file, relative to `folder`.

    Raises:
        StorageFullError: `MAX_PICTURES` or `MAX_KEPT_BYTES` is reached.
        OSError: the file cannot be written.
    """
    name = hashlib.sha256(payload).hexdigest() + extension
    target = folder / (NONE if class_index is None else f"{class_index:05d}") / name
    with _lock_folder(folder):
        existing = next(folder.glob(f"*/{name}"), None)
        if existing is None:
            _check_quota(folder, len(payload))
        target.parent.mkdir(exist_ok=True)
        if existing is None:
            _write(target, payload)
        else:
            existing.rename(target)
    return f"{target.parent.name}/{name}"


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes and threads, so that limits hold and a picture has one class."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_quota(folder: Path, new_bytes: int) -> None:
    sizes = [file.stat().st_size for entry in os.scandir(folder) if entry.is_dir() for file in os.scandir(entry)]
    if len(sizes) >= MAX_PICTURES or sum(sizes) + new_bytes > MAX_KEPT_BYTES:
        raise StorageFullError(
            f"the limit of {MAX_PICTURES:,} pictures or {MAX_KEPT_BYTES:,} bytes is reached: "
            f"{len(sizes):,} pictures with {sum(sizes):,} bytes are stored"
        )


def _write(target: Path, payload: bytes) -> None:
    """Write a file atomically."""
    temporary = target.with_name(_TEMPORARY_FILE)
    try:
        temporary.write_bytes(payload)
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
