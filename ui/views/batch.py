"""Many pictures at once, as a table that can be filtered, sorted and saved."""

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
from ui.answer import VERDICTS
from ui.client import Refused, Result
from ui.connection import client, facts, labels
from ui.contract import Fact, Label, Prediction, Task
from ui.examples import example_url
from ui.texts import language, markdown_escaped, name_of, number, text, title_of, value_of, word

CHUNK_FILES: Final = 48  # per request: takes a fraction of a second, so that the progress bar moves
CHUNK_BYTES: Final = 24 * 1024**2  # per request: the limit of the service is 64 MiB
MOST_FILES: Final = 2000  # per batch
MOST_BYTES: Final = 20 * 1024**2  # of a file inside an archive: the limit of the service
MOST_UNPACKED: Final = 512 * 1024**2  # bytes per batch
MOST_LISTED: Final = 4 * 1024**2  # bytes of an archive's file list, which has to be read before files can be counted
MOST_NAMED: Final = 5  # files that failed for the same reason and are named; others are counted
FAILED: Final = "failed"
_PICTURE, _EXAMPLE = "_picture", "_example"  # columns of the table that are not saved
SYMBOLS: Final = {"confident": "✓", "unsure": "?", "not_recognised": "⊘", FAILED: "✗"}

# What zipfile raises for archives that are damaged, encrypted, or use unsupported compression.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError,
)  # fmt: skip


class _Archive(io.BytesIO):
    """The bytes of an archive; a file list that is too long, which `ZipFile` reads in one piece, is rejected."""

    listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes."""
        if not self.listed and size is not None and size > MOST_LISTED:
            raise zipfile.BadZipFile(f"its file list has {size:,} bytes; the limit is {MOST_LISTED:,}")
        return super().read(size)


@dataclass
class Batch:
    """Pictures that are being classified; those with an entry in `results` are done, and their bytes are dropped."""

    names: list[str] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)  # None for files that could not be unpacked
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draw_page(task: Task) -> None:
    """Draw the page."""
    st.title(text("batch.title"), anchor=False)
    located = f" {text('batch.most_prominent')}" if "detect" in task.offers else ""
    st.markdown(text("batch.subtitle") + located)
    with st.form("batch_form", border=False, clear_on_submit=True):
        st.file_uploader(text("batch.upload"), accept_multiple_files=True, key="batch_files", help=text("batch.help"))
        st.form_submit_button(
            text("batch.start"), type="primary", icon=":material/play_arrow:", on_click=_start, args=(task,)
        )
    batch: Batch | None = st.session_state.get(_key(task))
    if batch is None:
        return
    for note in batch.notes:
        st.warning(note, icon=":material/warning:")
    if len(batch.results) < len(batch.names):
        _classify(task, batch)
    if batch.results:
        _show_results(task, batch)


def _key(task: Task) -> str:
    """Return the key of the session for the latest batch of a task."""
    return f"batch {task.name}"


def _start(task: Task) -> None:
    batch = Batch()
    files = ((file.name, file.getvalue()) for file in st.session_state["batch_files"])
    for name, payload in _unpack(files, batch.notes):
        batch.names.append(name)
        batch.payloads.append(payload)
    if not batch.names and not batch.notes:
        batch.notes.append(text("batch.nothing"))
    st.session_state[_key(task)] = batch


def _unpack(files: Iterable[tuple[str, bytes]], notes: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield name and bytes of each picture, including those in archives; add messages about skipped files to `notes`.

    The bytes are None if a file in an archive is damaged, encrypted or uses unsupported compression.
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
    """Return whether an entry is a folder, a hidden file, or metadata of the operating system."""
    path = PurePosixPath(entry.filename)
    return entry.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | None:
    """Return the bytes of a file in an archive, up to one more than the limit; None if it cannot be unpacked."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None  # for other methods, zipfile unpacks everything, however few bytes are requested
    try:
        with archive.open(entry) as file:
            return file.read(MOST_BYTES + 1)
    except _UNREADABLE:
        return None


def _classify(task: Task, batch: Batch) -> None:
    """Classify the remaining pictures, one request at a time; the next run continues an interrupted one."""
    total = len(batch.names)
    bar = st.progress(0.0)
    while (done := len(batch.results)) < total:
        bar.progress(done / total, text=text("batch.progress", done=number(done), total=number(total)))
        end = _end_of_chunk(batch.payloads, done)
        batch.results += _ask(task.name, batch.names[done:end], batch.payloads[done:end])
        batch.payloads[done:end] = [b""] * (end - done)
    bar.empty()


def _ask(task: str, names: Sequence[str], payloads: Sequence[bytes | None]) -> list[Result]:
    """Return the results for some pictures, from a single request if possible."""
    files = [(name, payload) for name, payload in zip(names, payloads, strict=True) if payload is not None]
    try:
        answers = client().predict_batch(task, files) if files else []
    except Refused as error:  # the whole request: mark these pictures as failed and continue with the next ones
        answers = [Result(None, str(error), error.kind)] * len(files)
    for place, answer in enumerate(answers):
        # The pictures of a request may have too many pixels together although each one is small enough.
        if answer.kind == "too_large" and len(files) > 1:
            [answers[place]] = client().predict_batch(task, files[place : place + 1])
    unread = iter(answers)
    return [Result(None, text("batch.not_unpacked")) if payload is None else next(unread) for payload in payloads]


def _end_of_chunk(payloads: Sequence[bytes | None], start: int) -> int:
    """Return the index after the last picture of a request that begins with this one."""
    end, size = start + 1, len(payloads[start] or b"")
    while end < min(len(payloads), start + CHUNK_FILES) and size + len(payloads[end] or b"") <= CHUNK_BYTES:
        size += len(payloads[end] or b"")
        end += 1
    return end


def _show_results(task: Task, batch: Batch) -> None:
    known = labels(task)
    columns = [fact for fact in facts(task) if fact.short and fact.in_answer]
    verdicts = [result.prediction.verdict if result.prediction else FAILED for result in batch.results]
    present = [kind for kind in (*VERDICTS, FAILED) if kind in verdicts]
    st.pills(
        text("batch.filter"), present, selection_mode="multi", key="batch_filter",
        format_func=lambda kind: f"{_icon(kind)} {text(f'batch.{kind}')} ({verdicts.count(kind)})",
    )  # fmt: skip
    wanted = st.session_state.get("batch_filter") or present
    results = [
        (name, result)
        for name, result, verdict in zip(batch.names, batch.results, verdicts, strict=False)
        if verdict in wanted
    ]
    rows = [_row(name, result, known, columns) for name, result in results]
    _show_table(
        [_for_people(task, row, result.prediction) for row, (_, result) in zip(rows, results, strict=True)], columns
    )
    _explain_failures([row for row in rows if row["verdict"] == FAILED])
    with st.container(horizontal=True):
        history.offer_to_save(rows, task.name)


def _show_table(rows: Sequence[dict[str, Any]], columns: Sequence[Fact]) -> None:
    configs = {
        _PICTURE: st.column_config.ImageColumn(text("batch.column_picture"), width="small"),
        _EXAMPLE: st.column_config.ImageColumn(text("batch.column_example"), width="small"),
        "class_name": st.column_config.TextColumn(text("batch.column_name"), width="medium"),
        "verdict": st.column_config.TextColumn(text("batch.column_verdict")),
        "probability": st.column_config.ProgressColumn(
            text("batch.column_probability"), min_value=0, max_value=1, format="percent"
        ),
        **{fact.key: st.column_config.TextColumn(title_of(fact)) for fact in columns},
        "file": st.column_config.TextColumn(text("batch.column_file"), width="medium"),
    }
    st.dataframe(
        pd.DataFrame(rows, columns=list(configs)), column_config=configs, hide_index=True, row_height=48,
        placeholder="", alt=text("batch.table", count=number(len(rows))),
    )  # fmt: skip


def _explain_failures(rows: Sequence[dict[str, Any]]) -> None:
    """Show why files failed, below the table, whose cells would cut the reasons; the same reason is shown once."""
    if not rows:
        return
    files: dict[str, list[str]] = {}
    for row in rows:
        files.setdefault(row["reason"], []).append(row["file"])
    st.markdown(f"**{text('batch.reasons')}**")
    for reason, names in files.items():
        named = ", ".join(markdown_escaped(name) for name in names[:MOST_NAMED])
        rest = len(names) - MOST_NAMED
        more = f" {text('batch.and_more', count=number(rest))}" if rest > 0 else ""
        st.markdown(f"- **{named}**{more}: {markdown_escaped(reason)}")


def _icon(kind: str) -> str:
    return VERDICTS[kind][0] if kind in VERDICTS else ":material/error:"


def _for_people(task: Task, row: dict[str, Any], found: Prediction | None) -> dict[str, Any]:
    """Return a row as the table shows it: with pictures, without the closest class of what is unknown, never 100%."""
    verdict = f"{SYMBOLS[row['verdict']]} {text('batch.' + row['verdict'])}"
    if found is None:
        return {**row, "verdict": verdict, _PICTURE: None, _EXAMPLE: None}
    picture = f"data:image/png;base64,{found.thumbnail}"
    if found.verdict == "not_recognised":
        return {**dict.fromkeys([*row, _EXAMPLE]), "file": row["file"], "verdict": verdict, _PICTURE: picture}
    example, share = example_url(task, found.class_index), min(found.probability, 0.9999)
    return {**row, "probability": share, "verdict": verdict, _PICTURE: picture, _EXAMPLE: example}


def _row(name: str, result: Result, known: Sequence[Label], columns: Sequence[Fact]) -> dict[str, Any]:
    """Return a row of the files to save, whose columns are named as in the service's answers."""
    found = result.prediction
    if found is None:
        keys = ("class_index", "class_name", *(fact.key for fact in columns), "probability")
        # The service's own message is more exact, but only in English: in other languages it comes second.
        translated = word(f"refused.{result.kind}", "") if language() != "en" else ""
        reason = f"{translated} ({result.reason})" if translated else result.reason
        return {"file": name, **dict.fromkeys(keys), "verdict": FAILED, "reason": reason}
    label = known[found.class_index]
    return {
        "file": name,
        "class_index": found.class_index,
        "class_name": name_of(label),
        **{fact.key: value_of(fact, label) for fact in columns},
        "probability": found.probability,
        "verdict": found.verdict,
        "reason": "",
    }
