"""The layout `folders`: <class>/<any name>.png, .jpg, .jpeg, .ppm, .webp, .bmp, .gif, .avif, .heic or .heif.

The class is an index or the name of a label; case, spaces and punctuation do not count. The class folders may be in
parts, which are folders named train, valid or test at any depth; then training reads the parts that the task declares,
and an evaluation reads the test part. The files' names tell the groups if the task says how; see `data.grouping`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from data.errors import ImageError, SourceError
from data.example import NO_CLASS, Example, full_box
from data.files import Files, list_pictures, read_file, unreadable
from data.grouping import group_by_name
from data.images import decode, read_size
from data.label import fold_name
from data.task import Part, Task

_CLASS_INDEX = re.compile(r"\d{1,5}", re.ASCII)
_PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SHOWN = 10  # names in a message
_CHECK_SIZE = 8, 8  # pixels to which pictures are decoded to check them


@dataclass(frozen=True)
class ClassFolders:
    """The pictures in class folders.

    Attributes:
        examples: sorted by path.
        notes: what was left out, one sentence each.
    """

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()


def read_class_folders(
    files: Files,
    task: Task,
    *,
    test_part: bool = False,
    no_class_folder: str | None = None,
    ignored_folder: str | None = None,
    skip_unreadable: bool = False,
) -> ClassFolders:
    """Read the pictures in class folders.

    Args:
        files: the folder or archive.
        task: its labels and the other names of their folders, the parts to train on, and the grouping.
        test_part: whether to read the test part, whose pictures are groups of their own, instead of those for training.
        no_class_folder: name of a folder whose pictures get `NO_CLASS`.
        ignored_folder: name of a folder whose pictures are left out.
        skip_unreadable: whether to decode every picture now, and to leave out those that cannot be.

    Returns:
        The pictures; none if there are no class folders.

    Raises:
        SourceError: a picture cannot be read, or is in a folder that is not named after a class; all are named.
    """
    by_part: defaultdict[Part | None, list[tuple[PurePosixPath, int | None]]] = defaultdict(list)
    for path in list_pictures(files):
        if path.parent.name == ignored_folder:
            continue
        class_index = NO_CLASS if path.parent.name == no_class_folder else _find_class(path.parent, task)
        by_part[_find_part(path.parent, class_index)].append((path, class_index))
    if test_part:
        chosen = by_part["test"]
    else:
        chosen = [found for part in task.data.training_parts for found in by_part[part]] or by_part[None]
    notes = [] if test_part else _describe_test_part(by_part["test"])
    strange = sorted({path.parent for path, class_index in chosen if class_index is None})
    if strange and not task.data.ignore_other_folders:
        raise _unknown_classes(files, task, strange, next(path for path, index in chosen if index is None))
    if strange:
        count = sum(class_index is None for _, class_index in chosen)
        notes.append(f"pictures left out, because their folders are no classes: {count:,} in {list_names(strange)}")
    examples = []
    problems = []
    for path, class_index in sorted(chosen):
        if class_index is None:
            continue
        try:
            payload = read_file(files, str(path))
            size = read_size(payload)
            if skip_unreadable:
                decode(payload, _CHECK_SIZE)
        except ImageError as error:
            problems.append(f"{files.location}/{path}: {error}")
        except SourceError as error:
            problems.append(str(error))
        else:
            examples.append(Example(str(path), class_index, str(path), size, full_box(size)))
    if problems and not skip_unreadable:
        raise unreadable(problems)
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        notes.append(f"pictures left out, because they cannot be read: {len(problems):,}{lines}")
    return ClassFolders(tuple(examples if test_part else _group(examples, task)), tuple(notes))


def _group(examples: list[Example], task: Task) -> list[Example]:
    paths = [PurePosixPath(example.path) for example in examples]
    groups = group_by_name(paths, [example.class_index for example in examples], task.data.grouping)
    return [replace(example, group=group) for example, group in zip(examples, groups, strict=True)]


def _find_class(folder: PurePosixPath, task: Task) -> int | None:
    """Return the class that a folder is named after, or None."""
    # A name with a slash, such as "Speed limit (20km/h)", appears as two nested folders.
    folded = [fold_name(part) for part in folder.parts]
    best, longest = None, 0
    for label, others in zip(task.labels, task.folders, strict=True):
        for name in (label.name, *others):
            parts = [fold_name(part) for part in name.split("/")]
            if len(parts) > longest and folded[-len(parts) :] == parts:
                best, longest = label.index, len(parts)
    if best is not None:
        return best
    index = int(folder.name) if _CLASS_INDEX.fullmatch(folder.name) else -1
    return index if 0 <= index < len(task.labels) else None


def part_of(folder: PurePosixPath) -> Part | None:
    """Return the part of a data set that a class folder lies in, or None."""
    return next((_PARTS[name] for name in map(fold_name, folder.parts[:-1]) if name in _PARTS), None)


def is_part(folder: PurePosixPath) -> bool:
    """Return whether a folder is a part of a data set by its name, such as train."""
    return fold_name(folder.name) in _PARTS


def _find_part(folder: PurePosixPath, class_index: int | None) -> Part | None:
    """Return the part that a folder of pictures lies in, or None; a part without class folders is one itself."""
    return part_of(folder) or (_PARTS.get(fold_name(folder.name)) if class_index is None else None)


def _describe_test_part(pictures: list[tuple[PurePosixPath, int | None]]) -> list[str]:
    strange = sorted({path.parent for path, class_index in pictures if class_index is None})
    if not strange:
        return []
    return [
        f"the test part, which training does not use, has folders that are no classes: {list_names(strange)}; "
        "rename them to classes before an evaluation"
    ]


def _unknown_classes(files: Files, task: Task, folders: list[PurePosixPath], example: PurePosixPath) -> SourceError:
    labels = [label.name for label in task.labels]
    names = ", ".join(labels[:_SHOWN]) + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
    others = [folder for folder in folders if folder != example.parent]
    more = f" The same is true of {list_names(others)}." if others else ""
    return SourceError(
        f"{files.location}/{example}: the class of this picture is unknown: it is not in a table, and its folder "
        f"{example.parent.name!r} is neither a class index, 0 to {len(labels) - 1}, nor the name of a label.{more} "
        f"Rename the folder to the class it shows ({names}), or move it elsewhere"
    )


def list_names(names: Iterable[object]) -> str:
    """Return names of files or folders for a message: sorted, in quotes, and only the first ones if there are many."""
    listed = sorted(map(str, names))
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(map(repr, listed[:_SHOWN])) + more
