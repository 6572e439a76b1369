"""The state of a training run: written to a file by the training process, read by the service."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NotRequired, TypedDict

from model.errors import BusyError

Stage = Literal["download", "prepare", "train", "evaluate", "export", "done", "failed"]
STATE_FILE, LOCK_FILE = "progress.json", "lock"
LOCK_WAIT_S = 1.0


class FinishedEpoch(TypedDict):
    """What an epoch came to; `epoch` counts from 1, and there is no accuracy where nothing is held out."""

    epoch: int
    loss: float
    validation_accuracy: NotRequired[float]


@dataclass(frozen=True)
class TrainingState:
    """The state of a training run.

    Attributes:
        stage: what is going on.
        epoch: number of finished epochs; None outside training, as are the next four.
        epochs: number of epochs that there will be.
        loss, validation_accuracy: of the last finished epoch, before the weights are averaged.
        remaining_s: estimated time until the last epoch is finished.
        message: why the training failed.
        history: all finished epochs, including those before an interruption.
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


def read_state(folder: Path) -> TrainingState | None:
    """Return what the last training in this folder wrote, or None if there is nothing that can be read."""
    try:
        table = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return TrainingState(**{**table, "history": tuple(table.get("history", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_state(folder: Path, state: TrainingState) -> None:
    """Leave the state of a training in its folder, for whoever reads it with `read_state`."""
    temporary = folder / f"{STATE_FILE}.new"
    temporary.write_text(json.dumps(state.to_json()), encoding="utf-8")
    temporary.replace(folder / STATE_FILE)


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
