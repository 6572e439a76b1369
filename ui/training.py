"""The first training of the classifier, live: stage, progress, curves and time left."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.texts import number, percent, text

STAGES = ("download", "prepare", "train", "export", "evaluate")


def show(progress: Mapping[str, Any]) -> None:
    """Show a progress of the contract."""
    st.subheader(text("training.title"))
    st.write(text("training.explained"))
    stage, epoch, epochs = progress.get("stage"), progress.get("epoch", 0), progress.get("epochs", 0)
    reached = STAGES.index(stage) if stage in STAGES else -1
    marks = [":material/check_circle:", ":material/pending:", ":material/circle:"]
    named = [
        f"{marks[(place > reached) + (place >= reached)]} {text(f'training.{name}')}"
        for place, name in enumerate(STAGES)
        if name != "download" or stage == "download"
    ]
    st.markdown("  \n".join(named))
    if epochs:
        st.progress(epoch / epochs, text=text("training.epoch", epoch=min(epoch + 1, epochs), epochs=epochs))
    figures = st.columns(3)
    if "loss" in progress:
        figures[0].metric(text("training.loss"), number(progress["loss"], 3))
    if "validation_accuracy" in progress:
        figures[1].metric(text("training.accuracy"), percent(progress["validation_accuracy"]))
    if "remaining_s" in progress:
        figures[2].metric(text("training.left"), _duration(progress["remaining_s"]))
    if len(progress.get("history", ())) > 1:
        _show_curves(progress["history"])


def _show_curves(history: list[Mapping[str, Any]]) -> None:
    left, right = st.columns(2)
    for place, name, key in ((left, "loss", "loss"), (right, "accuracy", "validation_accuracy")):
        points = [{"epoch": each["epoch"], key: each[key]} for each in history if key in each]
        if not points:
            continue
        place.caption(text(f"training.{name}"))
        place.line_chart(points, x="epoch", y=key, x_label=text("training.epochs"), y_label="", height=220)


def _duration(seconds: float) -> str:
    unit, length = ("minutes", 60) if seconds >= 60 else ("seconds", 1)
    return text(f"training.{unit}", count=round(seconds / length))
