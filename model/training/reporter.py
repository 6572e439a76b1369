"""Reports a training run to a person on standard error, and to the service through the state file."""

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
    """Tells a person on standard error and the service through a file.

    On a terminal there are bars with the time left, elsewhere one line per stage and epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._history: tuple[FinishedEpoch, ...] = ()
        self._told = -1
        self._written_at = 0.0

    def stage(self, stage: Stage, text: str) -> None:
        """Begin a stage; `text` is for the person."""
        self.say(text)
        write_state(self._folder, TrainingState(stage, history=self._history))  # what comes after the epochs shows them

    def say(self, text: str) -> None:
        """Show a line to the person."""
        tqdm.write(text, file=sys.stderr)

    def bar(self, items: Iterable[Item], total: int) -> Iterable[Item]:
        """Show a bar while `items` are worked through."""
        bar: Iterable[Item] = tqdm(items, total=total, disable=not self._terminal, leave=False, unit=" images")
        return bar

    def train(self, state: TrainingState, part: float) -> None:
        """Show the state of the training; `part` is the share of the current epoch that is done, in [0, 1)."""
        epoch, epochs = state.epoch or 0, state.epochs or 0
        figures = _figures(state)
        self._history = state.history
        if part == 0 or time.monotonic() - self._written_at >= WRITE_INTERVAL_S:
            write_state(self._folder, state)
            self._written_at = time.monotonic()
        if self._terminal:
            if self._bar is None:
                layout = "{desc} |{bar}| {percentage:3.0f} %{postfix}"
                self._bar = tqdm(total=epochs, bar_format=layout, dynamic_ncols=True)
            self._bar.set_description_str(f"epoch {min(epoch + 1, epochs)}/{epochs}", refresh=False)
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.n = epoch + part
            self._bar.update(0)
            if epoch == epochs:
                self._bar.close()
        elif epoch != self._told and part == 0:
            self.say(f"epoch {epoch}/{epochs} {figures}")
            self._told = epoch


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
