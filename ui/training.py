"""The progress of the first training: stage, epochs, curves and time left."""

from collections.abc import Sequence

import streamlit as st

from ui.contract import FinishedEpoch, TrainingState
from ui.texts import number, percent, text

STAGES = ("download", "prepare", "train", "export", "evaluate")


def show_training(training: TrainingState) -> None:
    """Show the state of a training."""
    st.subheader(text("training.title"))
    st.write(text("training.explained"))
    reached = STAGES.index(training.stage) if training.stage in STAGES else -1
    marks = [":material/check_circle:", ":material/pending:", ":material/circle:"]
    named = [
        f"{marks[(place > reached) + (place >= reached)]} {text(f'training.{name}')}"
        for place, name in enumerate(STAGES)
        if name != "download" or training.stage == "download"
    ]
    st.markdown("  \n".join(named))
    if training.epochs:
        finished, epochs = training.epoch or 0, training.epochs
        st.progress(finished / epochs, text=text("training.epoch", epoch=min(finished + 1, epochs), epochs=epochs))
    figures = st.columns(3)
    if training.loss is not None:
        figures[0].metric(text("training.loss"), number(training.loss, 3))
    if training.validation_accuracy is not None:
        figures[1].metric(text("training.accuracy"), percent(training.validation_accuracy))
    if training.remaining_s is not None:
        figures[2].metric(text("training.left"), _duration(training.remaining_s))
    if len(training.history) > 1:
        _show_curves(training.history)


def _show_curves(history: Sequence[FinishedEpoch]) -> None:
    left, right = st.columns(2)
    for place, name, key in ((left, "loss", "loss"), (right, "accuracy", "validation_accuracy")):
        points = [{"epoch": each.epoch, key: value} for each in history if (value := getattr(each, key)) is not None]
        if not points:
            continue
        place.caption(text(f"training.{name}"))
        place.line_chart(points, x="epoch", y=key, x_label=text("training.epochs"), y_label="", height=220)


def _duration(seconds: float) -> str:
    unit, length = ("minutes", 60) if seconds >= 60 else ("seconds", 1)
    return text(f"training.{unit}", count=round(seconds / length))
