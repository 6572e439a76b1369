"""Progress reports of a training, also after an interruption."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from data.prepare import prepare
from data.source import open_source
from data.task import Task
from data.tasks.traffic_sign.drawing.render import write_drawn
from model.progress import TrainingState
from model.training.checkpoint import STATE_FILE
from model.training.train import train


def test_history_is_complete_after_an_interruption(task: Task, tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn", 2, seed=0)
    prepared = prepare(open_source(tmp_path / "drawn", task), task, tmp_path / "cache")
    settings = dataclasses.replace(task.training["quick"], epochs=3, batch_size=16, widths=(4, 8), outliers=0.0)
    checkpoint = tmp_path / "checkpoint"
    reported: list[tuple[TrainingState, float]] = []

    def report(state: TrainingState, part: float) -> None:
        reported.append((state, part))

    def stop_after_the_first(state: TrainingState, part: float) -> None:
        report(state, part)
        if state.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task, settings, prepared, checkpoint, stop_after_the_first)
    assert reported[0][0].history == ()
    first = reported[-1][0].history
    assert [epoch["epoch"] for epoch in first] == [1]

    reported.clear()
    train(task, settings, prepared, checkpoint, report)
    assert reported[0][0].history == first
    last, part = reported[-1]
    assert [epoch["epoch"] for epoch in last.history] == [1, 2, 3]
    assert (last.epoch, last.epochs, part) == (3, 3, 0.0)
    [path] = checkpoint.glob(f"*/{STATE_FILE}")
    figures = [(epoch["loss"], epoch["val_accuracy"]) for epoch in json.loads(path.read_text())["history"]]
    assert [(epoch["loss"], epoch["validation_accuracy"]) for epoch in last.history] == figures
    assert (last.loss, last.validation_accuracy) == figures[-1]


def test_epochs_without_held_out_examples_have_no_accuracy(task: Task, tmp_path: Path) -> None:
    write_drawn(tmp_path / "drawn", 1, seed=0)
    prepared = prepare(open_source(tmp_path / "drawn", task), task, tmp_path / "cache")
    settings = dataclasses.replace(task.training["quick"], epochs=1, widths=(4, 8), outliers=0.0, validation=0.0)
    reported: list[TrainingState] = []
    train(task, settings, prepared, tmp_path / "checkpoint", lambda state, _part: reported.append(state))
    [only] = reported[-1].history
    assert only.keys() == {"epoch", "loss"}
    assert reported[-1].validation_accuracy is None


@pytest.mark.slow
@pytest.mark.parametrize(("share", "batches"), [(0.1, 10), (0.0, 0)])
def test_given_outliers_need_settings_with_outliers(task: Task, tmp_path: Path, share: float, batches: int) -> None:
    """160 outliers are ten more batches."""
    write_drawn(tmp_path / "drawn", 2, seed=0)
    prepared = prepare(open_source(tmp_path / "drawn", task), task, tmp_path / "cache")
    settings = dataclasses.replace(task.training["quick"], epochs=1, batch_size=16, widths=(4, 8), outliers=share)
    reported: list[list[float]] = [[], []]
    given = dataclasses.replace(prepared, outliers=np.zeros((160, *task.input_size, 3), np.uint8))
    for number, examples in enumerate((prepared, given)):
        parts = reported[number]
        train(task, settings, examples, tmp_path / f"checkpoint{number}", lambda _state, part: parts.append(part))  # noqa: B023 — called at once
    assert len(reported[1]) - len(reported[0]) == batches
