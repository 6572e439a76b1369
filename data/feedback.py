"""Feedback: pictures that users labelled, saved for a later training.

Files are stored as <store>/feedback/<task>/<class>/<SHA-256><extension>, which `data.source` can read. Pictures
that show none of the classes are in the folder `none`.

If the picture is a part of a photo, the photo is stored too, once, as photos/<SHA-256><extension>, for the detector.
Beside it is a file <SHA-256><extension>.json with a line for each part that was labelled:

[
 {"box": [14, 60, 78, 124], "class_index": 14, "located": true},
 {"box": [200, 60, 230, 90], "class_index": null, "located": false}
]

A box is left, top, right and bottom in pixels of the upright photo; right and bottom are exclusive. Its class is null
if it shows none of the classes. `located` says whether the service found the box; otherwise a person drew it.
`data.feedback_photos` reads these files.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.errors import SourceError, StorageFullError
from data.images import Box
from data.source import FEEDBACK, NONE, PHOTOS

MAX_PICTURES = 20_000
MAX_KEPT_BYTES = 1024**3
MAX_BOXES = 200  # of one photo; the detector reports at most 100
BOXES_SUFFIX = ".json"  # added to the name of the photo
_LOCK_FILE, _TEMPORARY_FILE = ".lock", ".new"


@dataclass(frozen=True)
class LabelledBox:
    """What a person said about a part of a photo.

    Attributes:
        box: the part, in pixels of the upright photo.
        class_index: the class it shows, or None for none of the classes.
        located: whether the service found the box; otherwise the person drew it.
    """

    box: Box
    class_index: int | None
    located: bool


@dataclass(frozen=True)
class FeedbackPhoto:
    """The photo that a labelled picture is a part of.

    Attributes:
        payload: a complete picture file.
        extension: file name extension of its format, such as ".jpeg".
        box: the part, in pixels of the upright photo.
        located: whether the service found the box; otherwise a person drew it.
    """

    payload: bytes
    extension: str
    box: Box
    located: bool


def feedback_folder(store: Path, task_name: str) -> Path:
    """Return the folder that holds the feedback on a task."""
    return store / FEEDBACK / task_name


def keep(
    folder: Path, payload: bytes, extension: str, class_index: int | None, photo: FeedbackPhoto | None = None
) -> str:
    """Save a picture in the folder of its class. A picture that was saved before moves to its new class.

    Args:
        folder: the folder from `feedback_folder`; it is created if it does not exist.
        payload: a complete picture file.
        extension: file name extension of its format, such as ".png".
        class_index: class that the picture shows, or None for none of the classes.
        photo: the photo that the picture is a part of, to save it too; None if there is none.

    Returns:
        Path of the saved picture, relative to `folder`.

    Raises:
        StorageFullError: `MAX_PICTURES`, `MAX_KEPT_BYTES` or `MAX_BOXES` is reached; nothing was saved.
        SourceError: the file with the boxes of this photo is damaged.
        OSError: a file cannot be written.
    """
    name = _name(payload, extension)
    target = folder / (NONE if class_index is None else f"{class_index:05d}") / name
    with _lock_folder(folder):
        existing = next((path for path in folder.glob(f"*/{name}") if path.parent.name != PHOTOS), None)
        new = {} if existing else {target: payload}
        if photo:
            new = _add_photo(folder / PHOTOS, photo, class_index) | new
        _check_quota(folder, new)
        target.parent.mkdir(exist_ok=True)
        for path, content in new.items():
            _write(path, content)
        if existing:
            existing.rename(target)
    return f"{target.parent.name}/{name}"


def read_boxes(path: Path) -> tuple[LabelledBox, ...]:
    """Read the file with the boxes of a photo.

    Raises:
        SourceError: it cannot be read or is damaged.
    """
    try:
        boxes = tuple(_read_box(**line) for line in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"{path}: not a list of labelled boxes: {error}") from error
    if not boxes:
        raise SourceError(f"{path}: not a list of labelled boxes: it is empty")
    return boxes


def _read_box(box: Any, class_index: Any, located: Any) -> LabelledBox:
    if not (isinstance(box, list) and [type(edge) for edge in box] == [int] * 4):
        raise TypeError(f"box must be four integers, not {box!r}")
    if not (class_index is None or type(class_index) is int):
        raise TypeError(f"class_index must be an integer or null, not {class_index!r}")
    if not isinstance(located, bool):
        raise TypeError(f"located must be true or false, not {located!r}")
    left, top, right, bottom = box
    return LabelledBox((left, top, right, bottom), class_index, located)


def _format_boxes(boxes: Iterable[LabelledBox]) -> bytes:
    lines = ",\n ".join(json.dumps(asdict(each)) for each in boxes)
    return f"[\n {lines}\n]\n".encode()


def _add_photo(folder: Path, photo: FeedbackPhoto, class_index: int | None) -> dict[Path, bytes]:
    """Return the new files for a labelled part of a photo, in the order in which they must be written.

    A box that was labelled before gets its new label.
    """
    folder.mkdir(exist_ok=True)
    path = folder / _name(photo.payload, photo.extension)
    table = path.with_name(f"{path.name}{BOXES_SUFFIX}")
    known = {each.box: each for each in read_boxes(table)} if table.exists() else {}
    boxes = known | {photo.box: LabelledBox(photo.box, class_index, photo.located)}
    if len(boxes) > MAX_BOXES:
        raise StorageFullError(f"the limit of {MAX_BOXES} labelled boxes in one photo is reached")
    new = {} if path.exists() else {path: photo.payload}
    # Boxes without a photo would be an error in training; a photo without boxes is no more than unused.
    return new if boxes == known else {**new, table: _format_boxes(boxes.values())}


def _name(payload: bytes, extension: str) -> str:
    return hashlib.sha256(payload).hexdigest() + extension


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes and threads, so that limits hold and a picture has one class."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_quota(folder: Path, new: Mapping[Path, bytes]) -> None:
    """Check that there is room for new files, some of which may replace others."""
    if not new:
        return
    kept = {
        file.path: file.stat().st_size for entry in os.scandir(folder) if entry.is_dir() for file in os.scandir(entry)
    }
    after = kept | {str(path): len(content) for path, content in new.items()}
    if _count_pictures(after) > MAX_PICTURES or sum(after.values()) > MAX_KEPT_BYTES:
        raise StorageFullError(
            f"the limit of {MAX_PICTURES:,} pictures or {MAX_KEPT_BYTES:,} bytes is reached: "
            f"{_count_pictures(kept):,} pictures with {sum(kept.values()):,} bytes are stored"
        )


def _count_pictures(paths: Iterable[str]) -> int:
    return sum(not path.endswith(BOXES_SUFFIX) for path in paths)


def _write(target: Path, payload: bytes) -> None:
    """Write a file atomically."""
    temporary = target.with_name(_TEMPORARY_FILE)
    try:
        temporary.write_bytes(payload)
        temporary.rename(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
