"""Pictures that people named, kept for a later training.

They lie in the layout of folders that `data.source` reads, <store>/feedback/<task>/<class>/<SHA-256>.png or the like;
those that show none of the classes are in the folder `none`.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import FullError
from data.source import FEEDBACK, NONE

MAX_PICTURES = 20_000
MAX_KEPT_BYTES = 1024**3
_LOCK_FILE, _UNFINISHED = ".lock", ".new"


def feedback_folder(store: Path, task_name: str) -> Path:
    """Return where the pictures that were named for a task are kept."""
    return store / FEEDBACK / task_name


def keep(folder: Path, payload: bytes, extension: str, class_index: int | None) -> str:
    """Keep a picture under its class, or under none; one that is there already moves.

    Args:
        folder: as of `feedback_folder`; it is made if it is not there.
        payload: a whole file of a picture; extension: of its format, such as ".png".
        class_index: what it shows, None for none of the classes.

    Returns:
        Where it is now, relative to the folder.

    Raises:
        FullError: there are `MAX_PICTURES` or `MAX_KEPT_BYTES` already.
        OSError: the disk is full or may not be written.
    """
    name = hashlib.sha256(payload).hexdigest() + extension
    target = folder / (NONE if class_index is None else f"{class_index:05d}") / name
    with _alone(folder):
        there = next(folder.glob(f"*/{name}"), None)
        if there is None:
            _check_room(folder, len(payload))
        target.parent.mkdir(exist_ok=True)
        if there is None:
            _write(target, payload)
        else:
            there.rename(target)
    return f"{target.parent.name}/{name}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes and threads out, so that limits hold and a picture has one class."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_room(folder: Path, count: int) -> None:
    sizes = [file.stat().st_size for entry in os.scandir(folder) if entry.is_dir() for file in os.scandir(entry)]
    if len(sizes) >= MAX_PICTURES or sum(sizes) + count > MAX_KEPT_BYTES:
        limit = f"{MAX_PICTURES:,} pictures or {MAX_KEPT_BYTES:,} bytes"
        raise FullError(f"at most {limit} are kept, and there are {len(sizes):,} with {sum(sizes):,} bytes")


def _write(target: Path, payload: bytes) -> None:
    """Write a file that is whole or not there."""
    unfinished = target.with_name(_UNFINISHED)
    try:
        unfinished.write_bytes(payload)
        unfinished.rename(target)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
