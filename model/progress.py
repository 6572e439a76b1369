"""How far a training is: shown to a person, and left in a file for the service."""

import fcntl
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NotRequired, TypedDict, TypeVar

from model.errors import BusyError

Item = TypeVar("Item")
Stage = Literal["download", "prepare", "train", "evaluate", "export", "done", "failed"]
PROGRESS_FILE, LOCK_FILE = "progress.json", "lock"
WRITE_INTERVAL_S = 1.0
LOCK_WAIT_S = 1.0


class FinishedEpoch(TypedDict):
    """What an epoch came to; `epoch` counts from 1, and there is no accuracy where nothing is held out."""

    epoch: int
    loss: float
    validation_accuracy: NotRequired[float]


@dataclass(frozen=True)
class Progress:
    """The state of a training.

    `epoch` counts finished epochs, and `history` has all of them, those of earlier runs included. What belongs to
    another stage is None; `message` says why a training failed.
    """

    stage: Stage
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    validation_accuracy: float | None = None
    remaining_s: float | None = None
    message: str | None = None
    history: tuple[FinishedEpoch, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are neither None nor empty, in JSON types."""
        table = {**asdict(self), "history": list(self.history) or None}
        return {name: value for name, value in table.items() if value is not None}


def training_folder(store: Path, task_name: str) -> Path:
    """Return where a task's training keeps its lock, its progress and its checkpoints."""
    return store / "training" / task_name


def read_progress(folder: Path) -> Progress | None:
    """Return what the last training in this folder wrote, or None if there is nothing that can be read."""
    try:
        table = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
        return Progress(**{**table, "history": tuple(table.get("history", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_progress(folder: Path, progress: Progress) -> None:
    """Leave the state of a training in its folder, for whoever reads it with `read_progress`."""
    temporary = folder / f"{PROGRESS_FILE}.new"
    temporary.write_text(json.dumps(progress.to_json()), encoding="utf-8")
    temporary.replace(folder / PROGRESS_FILE)


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the right to train in this folder; the system gives it back if the process dies.

    Raises:
        BusyError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while not _try_lock(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise BusyError(f"another process is training in {folder}")
            time.sleep(0.05)  # `is_training` may hold the lock for an instant
        yield


def is_training(folder: Path) -> bool:
    """Say whether a process is training in this folder right now."""
    try:
        with (folder / LOCK_FILE).open() as file:
            return not _try_lock(file, fcntl.LOCK_SH)  # shared, so that those who ask do not see each other
    except FileNotFoundError:
        return False


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Reporter:
    """Tells a person on standard error and the service through a file.

    On a terminal there are bars with the time left, elsewhere one line per stage and epoch.
    """

    def __init__(self, folder: Path) -> None:
        from tqdm import tqdm  # only training needs it; the service reads progress without

        self._tqdm = tqdm
        self._folder = folder
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._history: tuple[FinishedEpoch, ...] = ()
        self._told = -1
        self._written_at = 0.0

    def stage(self, stage: Stage, text: str) -> None:
        """Begin a stage; `text` is for the person."""
        self.say(text)
        write_progress(self._folder, Progress(stage, history=self._history))  # what comes after the epochs shows them

    def say(self, text: str) -> None:
        """Show a line to the person."""
        self._tqdm.write(text, file=sys.stderr)

    def bar(self, items: Iterable[Item], total: int) -> Iterable[Item]:
        """Show a bar while `items` are worked through."""
        bar: Iterable[Item] = self._tqdm(items, total=total, disable=not self._terminal, leave=False, unit=" images")
        return bar

    def train(self, progress: Progress, part: float) -> None:
        """Show the state of the training; `part` is the share of the current epoch that is done, in [0, 1)."""
        epoch, epochs = progress.epoch or 0, progress.epochs or 0
        figures = _figures(progress)
        self._history = progress.history
        if part == 0 or time.monotonic() - self._written_at >= WRITE_INTERVAL_S:
            write_progress(self._folder, progress)
            self._written_at = time.monotonic()
        if self._terminal:
            if self._bar is None:
                layout = "{desc} |{bar}| {percentage:3.0f} %{postfix}"
                self._bar = self._tqdm(total=epochs, bar_format=layout, dynamic_ncols=True)
            self._bar.set_description_str(f"epoch {min(epoch + 1, epochs)}/{epochs}", refresh=False)
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.n = epoch + part
            self._bar.update(0)
            if epoch == epochs:
                self._bar.close()
        elif epoch != self._told and part == 0:
            self.say(f"epoch {epoch}/{epochs} {figures}")
            self._told = epoch


def _figures(progress: Progress) -> str:
    figures = []
    if progress.loss is not None:
        figures.append(f"loss {progress.loss:.3f}")
    if progress.validation_accuracy is not None:
        figures.append(f"validation accuracy {progress.validation_accuracy:.2%}")
    if progress.remaining_s is not None:
        figures.append(f"{_duration(progress.remaining_s)} left")
    return ", ".join(figures)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
