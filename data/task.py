"""A task: the labels in order, the input size, and where examples come from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import TaskError

TASKS = Path(__file__).with_name("tasks")
OWN, PLAIN = "residual", "plain"  # networks of `model.network`; other names are those of keras.applications


@dataclass(frozen=True)
class Label:
    """One class, as people and programs know it; what ends in `_de` is in German.

    `description` says what it obliges to and `ends` where that ends; `confused_with` lists class indices, most
    confusing first.
    """

    index: int
    name: str
    name_de: str
    sign_number: str
    category: str
    description: str
    description_de: str
    ends: str
    ends_de: str
    confused_with: tuple[int, ...]

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Label":
        """Make a label of a TOML or JSON table; TypeError or KeyError if a field is missing or unknown."""
        return cls(**{**table, "confused_with": tuple(table["confused_with"])})


@dataclass(frozen=True)
class Archive:
    """A file to download: its address and MD5, 32 hexadecimal digits."""

    url: str
    md5: str


@dataclass(frozen=True)
class DataSet:
    """The public data set behind a task.

    `examples` is the number of training images of the complete set; `group` names what a split must keep
    together; `excluded_groups` are never used for training.
    """

    name: str
    citation: str
    licence: str
    group: str
    examples: int
    excluded_groups: frozenset[str]
    archives: tuple[Archive, ...]


@dataclass(frozen=True)
class Training:
    """One way to train: a network and how long and how hard it learns.

    `network` is a name that `model.network` knows and `widths` are the channels of its stem and stages, if it is our
    own; `weights` are what it begins with: "" for random ones, "imagenet", or an HDF5 file. `teacher` is the
    artifact of a trained network to learn from too, or "", and `distillation` its share in the loss. `learning_rate` is
    the peak after a warm-up of `warmup` (a share of all steps) and before a cosine descent; `weaker_from` is the
    share of the epochs after which the augmentation's strength is halved; `validation` is the share of groups held
    out of each class, 0 for none; `frames` is how many examples of a group are trained on, 0 for all; `outliers` is
    the number of pictures that are none of the classes, as a share of the training examples; `drawings` is the number
    of drawn signs of each class, where drawings are asked for.
    """

    network: str
    weights: str
    widths: tuple[int, ...]
    teacher: str
    distillation: float
    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float
    weight_decay: float
    label_smoothing: float
    ema_momentum: float
    dropout: float
    class_balance: float
    weaker_from: float
    validation: float
    frames: int
    outliers: float
    seed: int
    drawings: int


@dataclass(frozen=True)
class Outliers:
    """What is none of the task's classes.

    `mirrored` and `turned` are the classes that stop being one when mirrored and when turned by a quarter; `drawn`
    says whether `data.other_signs` and `data.render` draw for this task.
    """

    mirrored: tuple[int, ...]
    turned: tuple[int, ...]
    drawn: bool


@dataclass(frozen=True)
class Task:
    """What a classifier has to tell apart, and how it is trained.

    `input_size` is (height, width) in pixels; `training` maps the name of a preset to its settings.
    """

    name: str
    title: str
    input_size: tuple[int, int]
    data: DataSet
    outliers: Outliers
    training: Mapping[str, Training]
    labels: tuple[Label, ...]

    def preset(self, name: str) -> Training:
        """Return the settings of this name.

        Raises:
            TaskError: there are none.
        """
        if name not in self.training:
            raise TaskError(f"there is no preset {name!r}; known: {', '.join(self.training)}")
        return self.training[name]


def load_task(name: str) -> Task:
    """Read `data/tasks/<name>.toml`.

    Raises:
        TaskError: there is no such task, or the file breaks a rule; the message names file and rule.
    """
    path = TASKS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in TASKS.glob("*.toml")))
        raise TaskError(f"there is no task {name!r}; known: {known}")
    return read_task(path)


def read_task(path: Path) -> Task:
    """Read and check a task file.

    Raises:
        TaskError: the file is no TOML, lacks a key, has one too many, or its labels contradict each other.
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
    archives = tuple(Archive(**archive) for archive in data.pop("archives"))
    excluded = frozenset(data.pop("excluded_groups"))
    labels = tuple(Label.from_table(label) for label in table.pop("labels"))
    shared = table.pop("training")
    presets = {name: shared.pop(name) for name in [key for key in shared if isinstance(shared[key], dict)]}
    training = {name: _training({**shared, **preset}) for name, preset in presets.items()}
    outliers = table.pop("outliers")
    height, width = table.pop("input_size")
    return Task(
        **table,
        input_size=(height, width),
        data=DataSet(**data, excluded_groups=excluded, archives=archives),
        outliers=Outliers(**{**outliers, "mirrored": tuple(outliers["mirrored"]), "turned": tuple(outliers["turned"])}),
        training=training,
        labels=labels,
    )


def _training(table: dict[str, Any]) -> Training:
    return Training(**{**table, "widths": tuple(table["widths"])})


def _check(task: Task, path: Path) -> None:
    def require(condition: bool, rule: str) -> None:
        if not condition:
            raise TaskError(f"{path}: {rule}")

    count = len(task.labels)
    require(count >= 2, f"a task needs two labels at least, not {count}")
    require(
        [label.index for label in task.labels] == list(range(count)),
        f"labels must stand in the order of their indices 0 to {count - 1}",
    )
    require(len({label.name for label in task.labels}) == count, "two labels have the same name")
    require(
        not task.outliers.turned or task.input_size[0] == task.input_size[1],
        "pictures can be turned by a quarter only if input_size is a square",
    )
    require(min(task.input_size) >= 8, f"input_size must be 8 at least, not {task.input_size}")
    for name, settings in task.training.items():
        require(0 < settings.validation < 1, f"preset {name} must hold out a share of the groups between 0 and 1")
    for label in task.labels:
        others = set(range(count)) - {label.index}
        require(
            others.issuperset(label.confused_with),
            f"label {label.index} is said to be confused with {label.confused_with}, not all of them others",
        )
