"""A task: the labels in order, the input size, where examples come from and how to train."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from data.errors import TaskError
from data.extension import TaskExtension, load_extension
from data.label import GERMAN, Fact, Label
from data.training_settings import Distortions, Training

TASKS = Path(__file__).with_name("tasks")
TASK_FILE = "task.toml"
DEFAULT_TASK = "traffic_sign"  # of commands and the service
Layout = Literal["gtsrb", "folders"]

# Keys of an answer that no fact may take.
_RESERVED = {
    *("class_index", "class_name", "description", "probability", "verdict", "alternatives", "model"),
    *("heatmap", "thumbnail", "box", "facts"),
}


@dataclass(frozen=True)
class Archive:
    """A file to download: its URL and MD5, 32 hexadecimal digits."""

    url: str
    md5: str


@dataclass(frozen=True)
class DataSet:
    """The data set behind a task.

    Attributes:
        name, citation, licence: for people.
        layout: how the files are arranged, see `data.source`: "gtsrb" (tables) or "folders" (a folder for each class).
        group: what a split must keep together, as a noun, such as "track".
        examples: number of training pictures in the complete set; 0 if that is not known.
        margin: share of each side that surrounds the object in pictures that come without a box, in [0, 0.5).
        excluded_groups: groups that are never trained on.
        archives: what `init.py --download` fetches; may be empty.
    """

    name: str
    citation: str
    licence: str
    layout: Layout
    group: str
    examples: int
    margin: float
    excluded_groups: frozenset[str]
    archives: tuple[Archive, ...]

    @property
    def default_box(self) -> tuple[float, float, float, float]:
        """The box of a picture that comes without one: left, top, right, bottom as fractions of the picture."""
        return self.margin, self.margin, 1 - self.margin, 1 - self.margin


@dataclass(frozen=True)
class Outliers:
    """Classes that become outliers when mirrored, and when rotated by a quarter turn."""

    mirrored: tuple[int, ...]
    turned: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """What a classifier has to tell apart, and how it is trained.

    Attributes:
        name: of its folder in `data/tasks`.
        title: for people.
        input_size: (height, width) in pixels.
        facts: the facts that its labels have, in the order in which people see them.
        training: settings by the name of their preset.
        distortions: limits of the distortions in training.
    """

    name: str
    title: str
    input_size: tuple[int, int]
    data: DataSet
    outliers: Outliers
    training: Mapping[str, Training]
    distortions: Distortions
    facts: tuple[Fact, ...]
    labels: tuple[Label, ...]

    def preset(self, name: str) -> Training:
        """Return the settings of this name.

        Raises:
            TaskError: there are none.
        """
        if name not in self.training:
            raise TaskError(f"there is no preset {name!r}; known: {', '.join(self.training)}")
        return self.training[name]

    def load_extension(self) -> TaskExtension | None:
        """Return what the task adds in code, or None if it adds nothing."""
        return load_extension(self.name)


def list_tasks() -> list[str]:
    """Return the names of all tasks, sorted."""
    return sorted(path.parent.name for path in TASKS.glob(f"*/{TASK_FILE}"))


def load_task(name: str) -> Task:
    """Read `data/tasks/<name>/task.toml`.

    Raises:
        TaskError: there is no such task, or the file breaks a rule; the message names file and rule.
    """
    if name not in list_tasks():
        raise TaskError(f"there is no task {name!r}; known: {', '.join(list_tasks())}")
    return read_task(TASKS / name / TASK_FILE)


def read_task(path: Path) -> Task:
    """Read and check a task file.

    Raises:
        TaskError: the file is not TOML, a key is missing or unknown, or its labels contradict each other.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskError(f"{path}: {error}") from error
    try:
        task = _task(table)
    except (KeyError, TypeError, ValueError) as error:
        raise TaskError(f"{path}: {type(error).__name__}: {error}") from error
    _check(task, path)
    return task


def _task(table: dict[str, Any]) -> Task:
    data = table.pop("data")
    archives = tuple(Archive(**archive) for archive in data.pop("archives", ()))
    excluded = frozenset(data.pop("excluded_groups", ()))
    facts = tuple(Fact(**fact) for fact in table.pop("facts", ()))
    labels = tuple(Label.from_table(label) for label in table.pop("labels"))
    shared = table.pop("training")
    presets = {name: shared.pop(name) for name in [key for key in shared if isinstance(shared[key], dict)]}
    training = {name: Training(**_with_tuples({**shared, **preset})) for name, preset in presets.items()}
    height, width = table.pop("input_size")
    return Task(
        input_size=(height, width),
        data=DataSet(**data, excluded_groups=excluded, archives=archives),
        outliers=Outliers(**_with_tuples(table.pop("outliers", {"mirrored": [], "turned": []}))),
        distortions=Distortions(**_with_tuples(table.pop("distortions", {}))),
        training=training,
        facts=facts,
        labels=labels,
        **table,
    )


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


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
    require(task.data.layout in get_args(Layout), f"layout must be one of {get_args(Layout)}, not {task.data.layout!r}")
    require(0 <= task.data.margin < 0.5, f"margin must be at least 0 and less than 0.5, not {task.data.margin}")
    require(
        not task.outliers.turned or task.input_size[0] == task.input_size[1],
        "pictures can be rotated by a quarter turn only if input_size is square",
    )
    require(min(task.input_size) >= 8, f"input_size must be at least 8, not {task.input_size}")
    for name, settings in task.training.items():
        require(0 < settings.validation < 1, f"preset {name} must hold out a share of the groups between 0 and 1")
    keys = [fact.key for fact in task.facts]
    require(len(set(keys)) == len(keys), "two facts have the same key")
    for key in keys:
        require(bool(re.fullmatch(r"[a-z][a-z0-9_]*", key)), f"fact {key!r} must be in lower case, such as sign_number")
        require(key not in _RESERVED and not key.endswith(GERMAN), f"fact {key!r} has a reserved name")
    declared = {*keys, *(key + GERMAN for key in keys)}
    for label in task.labels:
        require(declared.issuperset(label.facts), f"label {label.index} has facts that are not declared in [[facts]]")
        for fact in task.facts:
            require(
                fact.key in label.facts or not fact.in_answer,
                f"label {label.index} lacks {fact.key!r}, which every answer carries",
            )
        others = set(range(count)) - {label.index}
        require(
            others.issuperset(label.confused_with),
            f"label {label.index} is confused with {label.confused_with}, which must be other labels",
        )
