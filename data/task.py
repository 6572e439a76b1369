"""Tasks: labels, input size, data set and training settings, read from task files."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from data.errors import TaskError
from data.extension import TaskExtension, load_extension
from data.grouping import NUMBER, Grouping
from data.label import GERMAN, Fact, Label, fold_name
from data.training_settings import DetectorTraining, Distortions, Training

TASKS = Path(__file__).with_name("tasks")
MORE_TASKS = "TASKS"  # environment variable with a folder of further tasks
TASK_FILE = "task.toml"
DEFAULT_TASK = "traffic_sign"  # used by the commands and the service
IN_URLS = re.compile(r"(?!labels$)[a-z][a-z0-9_]*")  # names of tasks in URLs; `/model/labels` is another route
Layout = Literal["gtsrb", "folders"]
Part = Literal["train", "valid", "test"]  # folders above the class folders; see `data.class_folders`

# Keys of a prediction, which facts must not use.
_RESERVED = {
    *("class_index", "class_name", "description", "probability", "verdict", "alternatives", "model"),
    *("heatmap", "thumbnail", "box", "facts"),
}


@dataclass(frozen=True)
class Download:
    """A file to download.

    Attributes:
        url: where the file is.
        md5: its MD5 checksum, 32 hexadecimal digits; empty if unknown.
    """

    url: str
    md5: str


@dataclass(frozen=True)
class DataSet:
    """The data set of a task.

    Attributes:
        name, citation, licence: shown to users.
        layout: arrangement of the files: "gtsrb" (tables) or "folders" (one folder per class); see `data.source`.
        group: noun for the examples that a split must keep together, such as "track".
        examples: number of training pictures in the complete data set; 0 if unknown.
        margin: width of the margin around the object in pictures without a box, as a fraction of each side, in
            [0, 0.5).
        excluded_groups: groups that are never used for training.
        archives: files that `init.py --download` fetches; may be empty.
        duplicates: whether training looks for pictures that are there twice, and keeps them on one side of a split;
            see `data.duplicates`. The default is true for class folders, whose groups are seldom known, and false for
            tables.
        page: web page on which people find the data set; empty if there is none.
        grouping: how file names in class folders tell the groups; None if each picture is its own group.
        training_parts: the parts of a data set with train, valid and test folders that are used for training.
        ignore_other_folders: whether pictures in folders that are not named after a class are left out; otherwise they
            are an error.
    """

    name: str
    citation: str
    licence: str
    layout: Layout
    group: str
    examples: int
    margin: float
    excluded_groups: frozenset[str]
    archives: tuple[Download, ...]
    duplicates: bool
    page: str = ""
    grouping: Grouping | None = None
    training_parts: tuple[Part, ...] = ("train", "valid")
    ignore_other_folders: bool = False

    @property
    def default_box(self) -> tuple[float, float, float, float]:
        """Box of a picture without one: left, top, right, bottom as fractions of the picture."""
        return self.margin, self.margin, 1 - self.margin, 1 - self.margin


@dataclass(frozen=True)
class SceneSet:
    """The scenes from which the task's detector is trained; see `data.scenes`.

    Attributes:
        name, citation, licence: shown to users.
        count: number of training scenes; scenes from this number on are the official test part and are never read.
        group_size: consecutive scenes that a split must keep together, because they may be of one drive.
        archives: files that `init.py --download` fetches; may be empty.
    """

    name: str
    citation: str
    licence: str
    count: int
    group_size: int
    archives: tuple[Download, ...]


@dataclass(frozen=True)
class Outliers:
    """Classes whose examples can be turned into outliers.

    Attributes:
        mirrored: indices of classes that no longer show any class when they are mirrored.
        turned: indices of classes that no longer show any class when they are rotated by 90 degrees either way.
    """

    mirrored: tuple[int, ...]
    turned: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """What a classifier distinguishes, and how it is trained.

    Attributes:
        name: name of the task's folder in `data/tasks`.
        title, title_de: name shown to users, in English and German; the German one is the English one if not given.
        input_size: (height, width) of the network's input in pixels.
        data: the data set with its examples.
        outliers: classes whose examples can be turned into outliers.
        training: training settings by preset.
        distortions: limits of the distortions in training.
        facts: the facts that labels may have, in display order.
        labels: the classes, in the order of the network's output.
        folders: other names of each class's folder, besides the label's name and index.
        scenes: the scenes for the detector; None if the task has no detector.
        detector: training settings of the detector by preset; empty if the task has none.
    """

    name: str
    title: str
    title_de: str
    input_size: tuple[int, int]
    data: DataSet
    outliers: Outliers
    training: Mapping[str, Training]
    distortions: Distortions
    facts: tuple[Fact, ...]
    labels: tuple[Label, ...]
    folders: tuple[tuple[str, ...], ...]
    scenes: SceneSet | None = None
    detector: Mapping[str, DetectorTraining] = field(default_factory=dict)

    def preset(self, name: str) -> Training:
        """Return the training settings of a preset.

        Raises:
            TaskError: the preset does not exist.
        """
        if name not in self.training:
            raise TaskError(f"there is no preset {name!r}; known: {', '.join(self.training)}")
        return self.training[name]

    def detector_preset(self, name: str) -> DetectorTraining | None:
        """Return the detector's settings of a preset, by default of its first one; None if the task has no detector."""
        return self.detector.get(name) or next(iter(self.detector.values()), None)

    def load_extension(self) -> TaskExtension | None:
        """Return the extension of this task, or None if it has none."""
        return load_extension(self.name)


def list_tasks() -> list[str]:
    """Return the names of all tasks, sorted: those in `data/tasks` and in the folder that the variable `TASKS` names.

    Raises:
        TaskError: that folder does not exist, or has a task with the name of one in `data/tasks`.
    """
    return sorted(_find_tasks())


def load_task(name: str) -> Task:
    """Read and check the file `task.toml` of a task, in the folder that is named after it.

    Raises:
        TaskError: the task does not exist or its file is invalid.
    """
    paths = _find_tasks()
    if name not in paths:
        raise TaskError(f"there is no task {name!r}; known: {', '.join(sorted(paths))}")
    task = read_task(paths[name])
    if task.name != name:
        raise TaskError(f"{paths[name]}: name must be that of its folder, {name!r}, not {task.name!r}")
    return task


def task_folder() -> Path:
    """Return the folder for new tasks: the one that the variable `TASKS` names, or else `data/tasks`."""
    return Path(os.environ.get(MORE_TASKS) or TASKS)


def _find_tasks() -> dict[str, Path]:
    """Map the name of each task to its file."""
    included = _tasks_in(TASKS)
    if not os.environ.get(MORE_TASKS):
        return included
    folder = Path(os.environ[MORE_TASKS])
    if not folder.is_dir():
        raise TaskError(f"{MORE_TASKS}: {folder} is not a folder; it must have a folder for each further task")
    further = _tasks_in(folder)
    if both := sorted(included.keys() & further.keys()):
        raise TaskError(f"{folder}: {', '.join(both)} is already the name of a task in {TASKS}; choose another name")
    return {**included, **further}


def _tasks_in(folder: Path) -> dict[str, Path]:
    return {path.parent.name: path for path in folder.glob(f"*/{TASK_FILE}")}


def read_task(path: Path) -> Task:
    """Read and check a task file.

    Raises:
        TaskError: the file is invalid: it is not TOML, has missing or unknown keys, or breaks a rule; the message names
            the file and the rule.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskError(f"{path}: {error}") from error
    try:
        task = _create_task(table)
    except (KeyError, TypeError, ValueError) as error:
        raise TaskError(f"{path}: {type(error).__name__}: {error}") from error
    _check(task, path)
    return task


def _create_task(table: dict[str, Any]) -> Task:
    data = table.pop("data")
    archives = tuple(Download(**archive) for archive in data.pop("archives", ()))
    excluded = frozenset(data.pop("excluded_groups", ()))
    grouping = Grouping(**data.pop("grouping")) if "grouping" in data else None
    data.setdefault("duplicates", data["layout"] == "folders")
    facts = tuple(Fact(**fact) for fact in table.pop("facts", ()))
    labels = table.pop("labels")
    folders = tuple(tuple(label.pop("folders", ())) for label in labels)
    training = {name: Training(**_with_tuples(each)) for name, each in _split_presets(table.pop("training")).items()}
    scenes, detector = table.pop("scenes", None), table.pop("detector", {})
    if scenes:
        scenes = SceneSet(
            **{**scenes, "archives": tuple(Download(**archive) for archive in scenes.get("archives", ()))}
        )
    height, width = table.pop("input_size")
    table.setdefault("title_de", table["title"])
    return Task(
        input_size=(height, width),
        data=DataSet(**_with_tuples(data), excluded_groups=excluded, archives=archives, grouping=grouping),
        outliers=Outliers(**_with_tuples(table.pop("outliers", {"mirrored": [], "turned": []}))),
        distortions=Distortions(**_with_tuples(table.pop("distortions", {}))),
        training=training,
        facts=facts,
        labels=tuple(Label.from_table(label) for label in labels),
        folders=folders,
        scenes=scenes,
        detector={name: DetectorTraining(**_with_tuples(each)) for name, each in _split_presets(detector).items()},
        **table,
    )


def _split_presets(table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the values of each preset: those of its own table and, for the others, those outside of all tables."""
    shared = {name: value for name, value in table.items() if not isinstance(value, dict)}
    return {name: {**shared, **preset} for name, preset in table.items() if isinstance(preset, dict)}


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


def _check_grouping(grouping: Grouping, require: Callable[[bool, str], None]) -> None:
    try:
        pattern = re.compile(grouping.pattern)
    except re.error as error:
        require(False, f"grouping: the pattern is not a regular expression: {error}")
    require(pattern.groups > 0, "grouping: the pattern needs at least one group (in parentheses)")
    require(
        (NUMBER in pattern.groupindex) == (grouping.gap > 0),
        f"grouping: a gap above 0 and a group (?P<{NUMBER}>…) in the pattern need each other",
    )


def _check(task: Task, path: Path) -> None:
    def require(condition: bool, rule: str) -> None:
        if not condition:
            raise TaskError(f"{path}: {rule}")

    count = len(task.labels)
    require(count >= 2, f"a task needs at least two labels, not {count}")
    require(
        [label.index for label in task.labels] == list(range(count)),
        f"labels must be in the order of their indices, 0 to {count - 1}",
    )
    require(len({label.name for label in task.labels}) == count, "two labels have the same name")
    names = [
        fold_name(name) for label, more in zip(task.labels, task.folders, strict=True) for name in {label.name, *more}
    ]
    require(all(names), "the name of a label or folder needs a letter or digit")
    require(len(set(names)) == len(names), "two folders differ only in case or punctuation")
    require(task.data.layout in get_args(Layout), f"layout must be one of {get_args(Layout)}, not {task.data.layout!r}")
    require(
        set(task.data.training_parts) <= {"train", "valid"} and bool(task.data.training_parts),
        f'training_parts must be "train", "valid" or both, not {list(task.data.training_parts)}',
    )
    if task.data.grouping:
        _check_grouping(task.data.grouping, require)
    require(0 <= task.data.margin < 0.5, f"margin must be at least 0 and less than 0.5, not {task.data.margin}")
    require(
        not task.outliers.turned or task.input_size[0] == task.input_size[1],
        "pictures can be rotated by a quarter turn only if input_size is square",
    )
    require((task.scenes is None) == (not task.detector), "a detector needs both [scenes] and [detector]")
    require(min(task.input_size) >= 8, f"input_size must be at least 8, not {task.input_size}")
    for name, settings in task.training.items():
        require(
            0 < settings.validation < 1, f"preset {name}: validation must be between 0 and 1, not {settings.validation}"
        )
    keys = [fact.key for fact in task.facts]
    require(len(set(keys)) == len(keys), "two facts have the same key")
    for key in keys:
        require(bool(re.fullmatch(r"[a-z][a-z0-9_]*", key)), f"fact {key!r} must be in snake case, such as sign_number")
        require(key not in _RESERVED and not key.endswith(GERMAN), f"fact {key!r} has a reserved name")
    declared = {*keys, *(key + GERMAN for key in keys)}
    for label in task.labels:
        require(declared.issuperset(label.facts), f"label {label.index} has facts that [[facts]] does not declare")
        for fact in task.facts:
            require(
                fact.key in label.facts or not fact.in_answer,
                f"label {label.index} lacks {fact.key!r}, which is part of every prediction",
            )
        others = set(range(count)) - {label.index}
        require(
            others.issuperset(label.confused_with),
            f"label {label.index}: confused_with must be indices of other labels, not {label.confused_with}",
        )
