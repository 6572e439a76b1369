"""Report the progress of a training run on standard error and, for the service, in the state file."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from model.progress import FinishedEpoch, Stage, TrainingState, write_state

Item = TypeVar("Item")
WRITE_INTERVAL_S = 1.0


class Reporter:
    """Shows progress on standard error and writes the state file.

    A terminal shows progress bars with the remaining time; otherwise there is one line per stage and epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._history: tuple[FinishedEpoch, ...] = ()
        self._reported_epoch = -1
        self._written_at = 0.0

    def stage(self, stage: Stage, text: str) -> None:
        """Begin a stage and print a line."""
        self.say(text)
        write_state(self._folder, TrainingState(stage, history=self._history))  # later stages keep the epochs

    def say(self, text: str) -> None:
        """Print a line without disturbing the progress bar."""
        tqdm.write(text, file=sys.stderr)

    def bar(self, items: Iterable[Item], total: int) -> Iterable[Item]:
        """Yield `items` while showing a progress bar; `total` is their number."""
        bar: Iterable[Item] = tqdm(items, total=total, disable=not self._terminal, leave=False, unit=" pictures")
        return bar

    def train(self, state: TrainingState, part: float) -> None:
        """Report the state of the training; `part` is the finished share of the current epoch, in [0, 1)."""
        epoch, epochs = state.epoch or 0, state.epochs or 0
        figures = _figures(state)
        self._history = state.history
        if part == 0 or time.monotonic() - self._written_at >= WRITE_INTERVAL_S:
            write_state(self._folder, state)
            self._written_at = time.monotonic()
        if self._terminal:
            if self._bar is None:
                layout = "{desc} |{bar}| {percentage:3.0f}%{postfix}"
                self._bar = tqdm(total=epochs, bar_format=layout, dynamic_ncols=True)
            self._bar.set_description_str(f"epoch {min(epoch + 1, epochs)}/{epochs}", refresh=False)
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.n = epoch + part
            self._bar.update(0)
            if epoch == epochs:
                self._bar.close()
        elif epoch != self._reported_epoch and part == 0:
            self.say(f"epoch {epoch}/{epochs} {figures}")
            self._reported_epoch = epoch


def _figures(state: TrainingState) -> str:
    figures = []
    if state.loss is not None:
        figures.append(f"loss {state.loss:.3f}")
    if state.validation_accuracy is not None:
        figures.append(f"validation accuracy {state.validation_accuracy:.2%}")
    if state.remaining_s is not None:
        figures.append(f"{_duration(state.remaining_s)} left")
    return ", ".join(figures)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
