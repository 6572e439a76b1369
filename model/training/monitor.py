"""Checkpoints and progress of a training, as a Keras callback."""

import time
from collections.abc import Callable
from pathlib import Path

import keras

from model.progress import FinishedEpoch, TrainingState
from model.training.checkpoint import load_checkpoint, save_checkpoint

ProgressCallback = Callable[[TrainingState, float], None]  # gets the state and the finished share of the current epoch


class Monitor(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch and reports progress.

    Args:
        checkpoint: folder for checkpoints.
        epochs: number of epochs.
        steps: number of steps per epoch.
        on_progress: called after each batch and each epoch.
        on_epoch: called with the number of finished epochs before each epoch.
    """

    def __init__(
        self,
        checkpoint: Path,
        epochs: int,
        steps: int,
        on_progress: ProgressCallback,
        on_epoch: Callable[[int], object],
    ) -> None:
        super().__init__()
        self._checkpoint, self._epochs, self._steps = checkpoint, epochs, steps
        self._on_progress, self._on_epoch = on_progress, on_epoch
        self._history: list[dict[str, float]] = []

    @property
    def duration_s(self) -> float:
        """Wall time of all epochs in seconds, including those before an interruption."""
        return sum(epoch["duration_s"] for epoch in self._history)

    def resume(self, model: keras.Model) -> int:
        """Resume from the checkpoint, if there is one; return the number of finished epochs."""
        state = load_checkpoint(self._checkpoint, model)
        self._history = state["history"] if state else []
        return len(self._history)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002, D102
        self._began = time.monotonic()
        self._on_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002, D102
        if batch + 1 < self._steps:
            self._report_progress((batch + 1) / self._steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: D102
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self._history.append({"duration_s": time.monotonic() - self._began, **figures})
        save_checkpoint(self._checkpoint, self.model, epoch + 1, {"history": self._history})
        self._report_progress(0.0)  # only after the checkpoint is saved: stopping now loses nothing

    def _finished(self) -> tuple[FinishedEpoch, ...]:
        finished = []
        for number, figures in enumerate(self._history, 1):
            epoch = FinishedEpoch(epoch=number, loss=figures["loss"])
            if "val_accuracy" in figures:
                epoch["validation_accuracy"] = figures["val_accuracy"]
            finished.append(epoch)
        return tuple(finished)

    def _report_progress(self, part: float) -> None:
        elapsed = self.duration_s + (time.monotonic() - self._began if part else 0.0)
        done = len(self._history) + part
        history = self._finished()
        state = TrainingState(
            "train",
            epoch=len(history),
            epochs=self._epochs,
            loss=history[-1]["loss"] if history else None,
            validation_accuracy=history[-1].get("validation_accuracy") if history else None,
            remaining_s=elapsed / done * (self._epochs - done) if done else None,
            history=history,
        )
        self._on_progress(state, part)
