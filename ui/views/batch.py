"""Many pictures at once: a table that can be filtered, sorted and saved."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import pandas as pd
import streamlit as st

from ui import history
from ui.answer import VERDICTS, sign_address
from ui.client import Label, Refused, Result
from ui.connection import client, labels, state
from ui.texts import language, markdown_escaped, name_of, number, text, word

CHUNK_FILES: Final = 48  # of a request: a fraction of a second, so that the bar moves
CHUNK_BYTES: Final = 24 * 1024**2  # the service takes 64 MiB in all
MOST_FILES: Final = 2000
MOST_BYTES: Final = 20 * 1024**2  # of a file inside an archive: the service takes no larger picture
MOST_UNPACKED: Final = 512 * 1024**2
MOST_LISTED: Final = 4 * 1024**2  # of an archive's own list of its files, which is read before they can be counted
FAILED: Final = "failed"
SYMBOLS: Final = {"confident": "✓", "unsure": "?", "not_recognised": "⊘", FAILED: "✗"}

# What zipfile raises for archives that are damaged, encrypted, or packed in a way that it does not know.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError,
)  # fmt: skip


class _Archive(io.BytesIO):
    """The bytes of an archive, whose list of files `ZipFile` reads in one piece; a list that is too long is refused."""

    listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return some bytes."""
        if not self.listed and size is not None and size > MOST_LISTED:
            raise zipfile.BadZipFile(f"its list of files has {size:,} bytes, more than {MOST_LISTED:,}")
        return super().read(size)


@dataclass
class Batch:
    """Pictures that are being classified; `results` has an entry for each that is done, whose bytes are dropped."""

    names: list[str] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)  # None where an archive could not be unpacked
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def show() -> None:
    """Draw the page."""
    st.title(text("batch.title"), anchor=False)
    st.markdown(text("batch.subtitle"))
    service = state()
    with st.form("batch_form", border=False, clear_on_submit=True):
        st.file_uploader(text("batch.upload"), accept_multiple_files=True, key="batch_files", help=text("batch.help"))
        st.form_submit_button(text("batch.start"), type="primary", icon=":material/play_arrow:", on_click=_start)
    batch: Batch | None = st.session_state.get("batch")
    if batch is None:
        return
    for note in batch.notes:
        st.warning(note, icon=":material/warning:")
    if len(batch.results) < len(batch.names):
        _work(batch)
    if batch.results:
        _show_results(batch, labels(service.version))


def _start() -> None:
    batch = Batch()
    files = ((file.name, file.getvalue()) for file in st.session_state["batch_files"])
    for name, payload in _unpack(files, batch.notes):
        batch.names.append(name)
        batch.payloads.append(payload)
    if not batch.names and not batch.notes:
        batch.notes.append(text("batch.nothing"))
    st.session_state["batch"] = batch


def _unpack(files: Iterable[tuple[str, bytes]], notes: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield name and bytes of each picture, those inside archives included; what is left out is said in `notes`.

    The bytes are None where those of an archive are damaged, encrypted or packed in a way that is not taken.
    """
    count = unpacked = 0
    for name, payload in files:
        for inner, content in _inside(name, payload, notes) if name.lower().endswith(".zip") else [(name, payload)]:
            count += 1
            unpacked += len(content or b"")
            if count > MOST_FILES or unpacked > MOST_UNPACKED:
                notes.append(text("batch.too_many", count=number(MOST_FILES), size=MOST_UNPACKED // 1024**2))
                return
            yield inner, content


def _inside(name: str, payload: bytes, notes: list[str]) -> Iterator[tuple[str, bytes | None]]:
    try:
        packed = _Archive(payload)
        archive = zipfile.ZipFile(packed)
        packed.listed = True
    except _UNREADABLE as error:
        notes.append(text("batch.bad_archive", name=markdown_escaped(name), reason=markdown_escaped(error)))
        return
    with archive:
        entries = [entry for entry in archive.infolist() if not _is_hidden(entry)]
        if not entries:
            notes.append(text("batch.empty_archive", name=markdown_escaped(name)))
        for entry in entries:
            yield f"{name}/{entry.filename}", _content(archive, entry)


def _is_hidden(entry: zipfile.ZipInfo) -> bool:
    """Say whether an entry is a folder, or something that a system keeps beside the files."""
    path = PurePosixPath(entry.filename)
    return entry.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | None:
    """Return the bytes of a file in an archive, one more than the service takes at most; None if there is no way to."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None  # of other kinds zipfile unpacks as much as they hold, however little is asked for
    try:
        with archive.open(entry) as file:
            return file.read(MOST_BYTES + 1)
    except _UNREADABLE:
        return None


def _work(batch: Batch) -> None:
    """Classify what is not done yet, one request at a time; a run that is cut off goes on in the next one."""
    total = len(batch.names)
    bar = st.progress(0.0)
    while (done := len(batch.results)) < total:
        bar.progress(done / total, text=text("batch.progress", done=number(done), total=number(total)))
        end = _end_of_chunk(batch.payloads, done)
        batch.results += _ask(batch.names[done:end], batch.payloads[done:end])
        batch.payloads[done:end] = [b""] * (end - done)
    bar.empty()


def _ask(names: Sequence[str], payloads: Sequence[bytes | None]) -> list[Result]:
    """Return what the service says of some pictures, in one request if it takes them together."""
    files = [(name, payload) for name, payload in zip(names, payloads, strict=True) if payload is not None]
    try:
        answers = client().predict_batch(files) if files else []
    except Refused as error:  # all of it: better none of these than none of those behind them
        answers = [Result(None, str(error), error.kind)] * len(files)
    for place, answer in enumerate(answers):
        # Together they may have more pixels than a request may; alone a good one has not.
        if answer.kind == "too_large" and len(files) > 1:
            [answers[place]] = client().predict_batch(files[place : place + 1])
    unread = iter(answers)
    return [Result(None, text("batch.not_unpacked")) if payload is None else next(unread) for payload in payloads]


def _end_of_chunk(payloads: Sequence[bytes | None], start: int) -> int:
    """Return behind which picture a request ends that begins with this one."""
    end, size = start + 1, len(payloads[start] or b"")
    while end < min(len(payloads), start + CHUNK_FILES) and size + len(payloads[end] or b"") <= CHUNK_BYTES:
        size += len(payloads[end] or b"")
        end += 1
    return end


def _show_results(batch: Batch, known: Sequence[Label]) -> None:
    verdicts = [result.prediction.verdict if result.prediction else FAILED for result in batch.results]
    present = [kind for kind in (*VERDICTS, FAILED) if kind in verdicts]
    st.pills(
        text("batch.filter"), present, selection_mode="multi", key="batch_filter",
        format_func=lambda kind: f"{_icon(kind)} {text(f'batch.{kind}')} ({verdicts.count(kind)})",
    )  # fmt: skip
    wanted = st.session_state.get("batch_filter") or present
    kept = [row for row in _rows(batch, known) if row["verdict"] in wanted]
    shown = [{**_said(row), "verdict": f"{SYMBOLS[row['verdict']]} {text('batch.' + row['verdict'])}"} for row in kept]
    columns = {
        "picture": st.column_config.ImageColumn(text("batch.column_picture"), width="small"),
        "sign": st.column_config.ImageColumn(text("batch.column_sign"), width="small"),
        "class_name": st.column_config.TextColumn(text("batch.column_name"), width="medium"),
        "verdict": st.column_config.TextColumn(text("batch.column_verdict")),
        "probability": st.column_config.ProgressColumn(
            text("batch.column_probability"), min_value=0, max_value=1, format="percent"
        ),
        "sign_number": st.column_config.TextColumn(text("batch.column_number")),
        "file": st.column_config.TextColumn(text("batch.column_file"), width="medium"),
        "reason": st.column_config.TextColumn(text("batch.column_reason"), width="large"),
    }
    table = pd.DataFrame(shown, columns=list(columns))
    st.dataframe(
        table,
        column_config=columns,
        hide_index=True,
        row_height=48,
        placeholder="",
        alt=text("batch.table", count=number(len(table))),
    )
    rows = [{name: value for name, value in row.items() if name not in ("picture", "sign")} for row in kept]
    with st.container(horizontal=True):
        history.offer_to_save(rows, "traffic-signs")


def _icon(kind: str) -> str:
    return VERDICTS[kind][0] if kind in VERDICTS else ":material/error:"


def _rows(batch: Batch, known: Sequence[Label]) -> list[dict[str, Any]]:
    """Return what is known of each picture: for programs the words of the contract, for people also pictures."""
    return [_row(name, result, known) for name, result in zip(batch.names, batch.results, strict=False)]


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a person is told: of a picture of no sign not which sign comes nearest, and never 100 %."""
    if row["verdict"] == "not_recognised":
        return {**row, **dict.fromkeys(("class_name", "sign_number", "probability"))}
    return {**row, "probability": row["probability"] and min(row["probability"], 0.9999)}


def _row(name: str, result: Result, known: Sequence[Label]) -> dict[str, Any]:
    found = result.prediction
    if found is None:
        empty = dict.fromkeys(("class_index", "class_name", "sign_number", "probability", "picture", "sign"))
        # The service's own words are the more exact ones; where they are of another language they come second.
        known_reason = word(f"refused.{result.kind}", "") if language() != "en" else ""
        reason = f"{known_reason} ({result.reason})" if known_reason else result.reason
        return {"file": name, **empty, "verdict": FAILED, "reason": reason}
    return {
        "file": name,
        "class_index": found.class_index,
        "class_name": name_of(known[found.class_index]),
        "sign_number": found.sign_number,
        "probability": found.probability,
        "picture": f"data:image/png;base64,{found.thumbnail}",
        "sign": None if found.verdict == "not_recognised" else sign_address(found.class_index),
        "verdict": found.verdict,
        "reason": "",
    }
