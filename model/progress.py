"""The state of a training run: the training process writes it to a file, the service reads it."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, NotRequired, TypedDict

from model.errors import BusyError

Stage = Literal["download", "prepare", "train", "evaluate", "export", "done", "failed"]
STATE_FILE, LOCK_FILE, WAITING_FILE = "progress.json", "lock", "waiting"
LOCK_WAIT_S = 1.0


class FinishedEpoch(TypedDict):
    """Metrics of one finished epoch; `epoch` counts from 1, and the accuracy is absent if nothing is held out."""

    epoch: int
    loss: float
    validation_accuracy: NotRequired[float]


@dataclass(frozen=True)
class TrainingState:
    """The state of a training run.

    Attributes:
        stage: the current stage.
        epoch: number of finished epochs; like the next four fields, None outside the stage "train".
        epochs: total number of epochs.
        loss: training loss of the last finished epoch, before weight averaging.
        validation_accuracy: of the last finished epoch, in [0, 1], before weight averaging.
        remaining_s: estimated time until the last epoch is finished.
        message: why training failed; None unless the stage is "failed".
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
    """Return the folder for a task's training lock, state file and checkpoints."""
    return store / "training" / task_name


def read_state(folder: Path) -> TrainingState | None:
    """Return the state of the last training run in this folder, or None if it is missing or invalid."""
    try:
        table = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return TrainingState(**{**table, "history": tuple(table.get("history", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_state(folder: Path, state: TrainingState) -> None:
    """Write the state of a training run atomically; read it with `read_state`.

    Raises:
        OSError: the folder is missing or not writable.
    """
    temporary = folder / f"{STATE_FILE}.new"
    temporary.write_text(json.dumps(state.to_json()), encoding="utf-8")
    temporary.replace(folder / STATE_FILE)


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the exclusive training lock of this folder; the kernel releases it if the process dies.

    Raises:
        BusyError: another process holds the lock.
    """
    with _locked(folder, LOCK_FILE):
        yield


@contextmanager
def waiting_to_train(folder: Path) -> Iterator[None]:
    """Mark that a training in this folder is going to start; the kernel removes the mark if the process dies."""
    with ExitStack() as stack:
        with suppress(BusyError):  # another process has made the mark
            stack.enter_context(_locked(folder, WAITING_FILE))
        yield


def is_training(folder: Path) -> bool:
    """Return whether a process is training in this folder right now."""
    return _is_locked(folder / LOCK_FILE)


def is_waiting(folder: Path) -> bool:
    """Return whether a training in this folder is going to start, or has started."""
    return _is_locked(folder / WAITING_FILE)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created.

    Raises:
        BusyError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        deadline = time.monotonic() + LOCK_WAIT_S
        while not _try_lock(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise BusyError(f"another process is training in {folder}; wait until it has finished")
            time.sleep(0.05)  # `_is_locked` holds the lock briefly
        yield


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            return not _try_lock(file, fcntl.LOCK_SH)  # shared, so that concurrent checks do not block each other
    except FileNotFoundError:
        return False


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
