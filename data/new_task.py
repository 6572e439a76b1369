"""A task file for pictures of which nothing is known but the folders that they are in."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import numpy as np

from data.class_folders import is_part, list_names, part_of
from data.errors import ImageError, SourceError, TaskError
from data.files import Files, list_pictures, read_file
from data.images import read_size
from data.label import fold_name
from data.task import IN_URLS, TASK_FILE, list_tasks, read_task, task_folder
from data.training_settings import RESIDUAL

_SIZED: Final = 200  # pictures whose size is read
_SIZES: Final = 96, 128, 160, 192, 224  # sides of the input in pixels; the last one is that of ImageNet's networks
# Pictures in all epochs together with a backbone: some minutes on two cores.
_PICTURES: Final = 7_000
_EPOCHS: Final = 6, 24  # fewest and most with a backbone
_UNEQUAL: Final = 4  # ratio of the largest class to the smallest, from which on rare classes count more
_FEW: Final = 20  # pictures of a class that are hardly enough
_PROTOTYPES: Final = 20, 160  # most of a class, and most of all classes


@dataclass(frozen=True)
class Folders:
    """The class folders of a data set.

    Attributes:
        pictures: number of pictures for training in each folder, by its name, sorted.
        side: median of the shorter sides of the pictures in pixels.
    """

    pictures: dict[str, int]
    side: float

    def lines(self) -> list[str]:
        """Return sentences on the folders."""
        (rarest, least), (_, most) = (pick(self.pictures.items(), key=lambda item: item[1]) for pick in (min, max))
        lines = [
            f"{len(self.pictures):,} classes, {sum(self.pictures.values()):,} pictures of about {self.side:.0f} pixels"
        ]
        if most >= _UNEQUAL * least:
            lines.append(f"note: the largest class has {most / least:.0f} times as many pictures as {rarest!r}")
        if few := [name for name, count in self.pictures.items() if count < _FEW]:
            lines.append(f"note: fewer than {_FEW} pictures in {list_names(few)}; 100 of different things are better")
        return lines


def find_folders(files: Files) -> Folders:
    """Find the class folders of a data set whose classes are unknown: the folders that pictures are in.

    They may be in parts named train, valid and test; then those of the test part do not count.

    Raises:
        SourceError: there are fewer than two, one is empty or has a single picture, two have nearly the same name, or
            pictures are not in a folder; the message names all of them and says what to do.
    """
    by_part: defaultdict[str | None, list[PurePosixPath]] = defaultdict(list)
    misplaced = []
    pictures = list_pictures(files)
    for path in pictures:
        if not path.parent.name or is_part(path.parent):
            misplaced.append(path)
        else:
            by_part[part_of(path.parent)].append(path)
    chosen = [path for part in ("train", "valid") for path in by_part[part]] or by_part[None]
    counts = Counter(path.parent.name for path in chosen)
    problems = [*_describe_misplaced(misplaced), *_describe_empty(files, pictures), *_describe_doubtful(counts)]
    if problems:
        raise SourceError("\n  ".join([f"{files.location}: the class folders need a look:", *problems]))
    sides = []
    for path in chosen[:: max(1, len(chosen) // _SIZED)]:
        try:
            sides.append(min(read_size(read_file(files, str(path)))))
        except (ImageError, SourceError):
            continue  # all unreadable pictures are named when the data set is read
    return Folders(dict(sorted(counts.items())), float(np.median(sides)) if sides else 0.0)


def write_task(name: str, folders: Folders, origin: str, backbone: str, weights: str) -> Path:
    """Write the task file of a new task.

    Args:
        name: of the task, in snake case.
        folders: its class folders.
        origin: name of the data set.
        backbone: network to start from, "" for none: then our own network learns from random weights.
        weights: initial weights of the backbone.

    Returns:
        The path of the file: in the folder that the variable TASKS names, or else in `data/tasks`. A file with the same
        text is kept, so that a command that was stopped can be repeated.

    Raises:
        TaskError: the name is not in snake case or is taken, or the folders' names do not make labels.
    """
    if not IN_URLS.fullmatch(name):
        raise TaskError(
            f"{name!r} cannot name a task; use lower-case letters, digits and underscores, such as my_birds"
        )
    path, text = task_folder() / name / TASK_FILE, _task_file(name, folders, origin, backbone, weights)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return path
    if name in list_tasks():
        raise TaskError(
            f"there is a task {name!r} already; train it as it is with: python init.py --task {name} --data PATH"
        )
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    try:
        read_task(path)
    except TaskError:
        path.unlink()
        path.parent.rmdir()
        raise
    return path


def _describe_misplaced(pictures: list[PurePosixPath]) -> list[str]:
    if not pictures:
        return []
    return [f"{list_names(pictures)}: not in a class folder; put it into a folder named after what it shows"]


def _describe_empty(files: Files, pictures: list[PurePosixPath]) -> list[str]:
    used = {parent for path in pictures for parent in path.parents}
    folders = (PurePosixPath(name) for name in files.folders())
    empty = [folder for folder in folders if folder not in used and not folder.name.startswith((".", "__"))]
    return [f"{list_names(empty)}: no pictures in it; add some, or remove it"] if empty else []


def _describe_doubtful(counts: Counter[str]) -> list[str]:
    problems = []
    if single := [name for name, count in counts.items() if count < 2]:
        problems.append(
            f"{list_names(single)}: one picture only; a class needs at least two different ones, one for training and "
            "one to be held out: add some, or remove the folder"
        )
    if unnamed := [name for name in counts if not fold_name(name)]:
        problems.append(
            f"{list_names(unnamed)}: a name without letters and digits; rename it to what its pictures show"
        )
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in counts:
        alike[fold_name(name)].append(name)
    problems += [
        f"{list_names(names)}: the same but for case and punctuation; put them into one folder"
        for names in alike.values()
        if len(names) > 1
    ]
    if len(counts) < 2:
        found = f"only {list_names(counts)} has pictures" if counts else "there are no pictures"
        problems.append(f"{found}; put those of each class into a folder of its own, for two classes at least")
    return problems


def _task_file(name: str, folders: Folders, origin: str, backbone: str, weights: str) -> str:
    """Return the text of the task file."""
    counts = folders.pictures.values()
    values = {
        "task": name,
        "name": _quoted(name),
        "title": _quoted(_as_words(name).capitalize()),
        "origin": _quoted(origin),
        "side": next((side for side in _SIZES if side >= folders.side), _SIZES[-1]),
        "pictures": sum(counts),
        "balance": 0.0 if max(counts) < _UNEQUAL * min(counts) else -0.5,
        "prototypes": max(1, min(_PROTOTYPES[0], _PROTOTYPES[1] // len(counts))),
        "network": _network(backbone, weights, sum(counts)),
    }
    template = Template(Path(__file__).with_name("task_template.toml").read_text(encoding="utf-8"))
    labels = [
        f"""
[[labels]]
index = {index}
name = {_quoted(_as_words(folder))}
name_de = {_quoted(_as_words(folder))}
description = ""
description_de = ""
confused_with = []
facts = {{}}
"""
        for index, folder in enumerate(folders.pictures)
    ]
    return "".join([template.substitute(values), *labels])


def _network(backbone: str, weights: str, pictures: int) -> str:
    """Return the settings of the network; the more pictures there are, the fewer epochs."""
    if not backbone:
        return "\n".join([f"network = {_quoted(RESIDUAL)}", 'weights = ""', "learning_rate = 1e-3", "epochs = 40"])
    least, most = _EPOCHS
    return "\n".join(
        [
            f"network = {_quoted(backbone)}",
            f"weights = {_quoted(weights)} # in the store; otherwise those of a classifier with the same network",
            "frozen_epochs = 1",
            "frozen_learning_rate = 3e-3",
            "learning_rate = 1e-4",
            'learns_from = "block4_expand"',
            f"epochs = {max(least, min(most, round(_PICTURES / pictures)))}",
        ]
    )


def _as_words(name: str) -> str:
    """Return a name of a folder or task with spaces between its words."""
    return " ".join(name.replace("_", " ").split())


def _quoted(text: str) -> str:
    """Return a text as a string of TOML, of which those of JSON are a part."""
    return json.dumps(text, ensure_ascii=False)
