"""The predictions of this session for each task, which only its visitor sees, and tables saved as CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from ui.contract import Box, Prediction, Task
from ui.texts import text

LONGEST: Final = 200  # entries that are kept
_KEY: Final = "history"


@dataclass(frozen=True)
class Entry:
    """One prediction: its time (UTC, ISO 8601), the picture's name and the classified part of it, and the answer."""

    time: str
    name: str
    box: Box | None
    prediction: Prediction


def entries(task: Task) -> list[Entry]:
    """Return all predictions for a task, the latest first."""
    kept: list[Entry] = st.session_state.setdefault(f"{_KEY} {task.name}", [])
    return kept


def remember(task: Task, name: str, answers: Sequence[tuple[Box | None, Prediction]]) -> None:
    """Add the predictions for the parts of a picture, unless they are the latest ones already."""
    kept = entries(task)
    latest = [(entry.name, entry.box, entry.prediction) for entry in kept[: len(answers)]]
    if latest != [(name, box, prediction) for box, prediction in answers]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept[:0] = [Entry(now, name, box, prediction) for box, prediction in answers]
        del kept[LONGEST:]


def forget(task: Task) -> None:
    """Drop all predictions for a task."""
    entries(task).clear()


def offer_to_save(rows: list[dict[str, object]], name: str) -> None:
    """Show buttons that save rows as CSV and as JSON; `name` is the file name without suffix."""
    for kind, write in (("csv", as_csv), ("json", as_json)):
        st.download_button(
            text(f"batch.{kind}"), write(rows), f"{name}.{kind}", on_click="ignore", icon=":material/download:"
        )


def as_csv(rows: list[dict[str, object]]) -> bytes:
    """Return rows, which all have the same columns, as CSV for spreadsheets: UTF-8 with a byte order mark.

    A text that starts like a formula gets an apostrophe, as OWASP recommends against CSV injection.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [])
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _without_formula(value) for name, value in row.items()})
    return buffer.getvalue().encode("utf-8-sig")


def as_json(rows: list[dict[str, object]]) -> bytes:
    """Return rows as JSON."""
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _without_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
