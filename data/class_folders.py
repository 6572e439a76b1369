"""The layout `folders`: <class>/<any name>.png, .jpg, .jpeg, .ppm, .webp, .bmp, .gif, .avif, .heic or .heif.

The class is an index or the name of a label; each picture is its own group.
"""

import re
from pathlib import PurePosixPath

from data.errors import ImageError, SourceError
from data.example import NO_CLASS, Example, full_box
from data.files import Files, list_pictures, read_file
from data.images import read_size
from data.task import Task

_CLASS_INDEX = re.compile(r"\d{1,5}", re.ASCII)


def read_class_folders(files: Files, task: Task, no_class_folder: str | None = None) -> list[Example]:
    """Return the pictures in class folders, sorted by path; an empty list if there are no pictures.

    Pictures in folders named `no_class_folder` get `NO_CLASS`.

    Raises:
        SourceError: a picture cannot be read, or is in a folder that is not named after a class.
    """
    examples = []
    for path in list_pictures(files):
        class_index = NO_CLASS if path.parent.name == no_class_folder else _find_class(path.parent, task)
        if class_index is None:
            raise SourceError(
                f"{files.location}/{path}: the class of this picture is unknown: it is not in a table, and its folder "
                f"{path.parent.name!r} is neither a class index, 0 to {len(task.labels) - 1}, nor the name of a label"
            )
        try:
            size = read_size(read_file(files, str(path)))
        except ImageError as error:
            raise SourceError(f"{files.location}/{path}: {error}") from error
        examples.append(Example(str(path), class_index, str(path), size, full_box(size)))
    return sorted(examples, key=lambda example: example.path)


def _find_class(folder: PurePosixPath, task: Task) -> int | None:
    """Return the class that a folder is named after, or None."""
    # A name with a slash, such as "Speed limit (20km/h)", appears as two nested folders.
    matches = [label for label in task.labels if f"/{folder}".endswith(f"/{label.name}")]
    if matches:
        return max(matches, key=lambda label: len(label.name)).index
    index = int(folder.name) if _CLASS_INDEX.fullmatch(folder.name) else -1
    return index if 0 <= index < len(task.labels) else None
