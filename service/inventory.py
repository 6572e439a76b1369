"""Figures of the data set, from its tables, and some of its pictures."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data.errors import SourceError
from data.exploration import choose_one_per_track, count_classes, decode_examples, find_tracks, measure_boxes
from data.source import DRAWN, Source, find_source, has_data, open_source
from data.task import Task
from service.answers import as_sentence, thumbnail
from service.problems import Problem, without_paths

DEFAULT_COUNT: Final = 12
MAX_COUNT: Final = 48
MIN_SIDE: Final = 16  # of a thumbnail, in pixels
DEFAULT_SIDE: Final = 64
MAX_SIDE: Final = 256
MAX_BINS: Final = 30
SWITCH_S: Final = 0.0005
LOOK_INTERVAL_S: Final = 10.0  # a look into a store with many files takes a fraction of a second

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    summary: dict[str, Any]
    last_frames: Source  # one per track: all examples would take 20 MB in each worker


class Inventory:
    """Reads the tables of the data set at the first request and keeps the result until the process ends.

    Args:
        task: the task of the data set.
        location: folder or archive; None to look for it in the store.
        store: see `data.source.find_source`.
    """

    def __init__(self, task: Task, location: Path | None, store: Path) -> None:
        self._task, self._location, self._store = task, location, store
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._is_there, self._next_look = False, 0.0

    def is_there(self) -> bool:
        """Say whether there is a data set, without reading it; one that appears is noticed after `LOOK_INTERVAL_S`."""
        if not self._is_there and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_INTERVAL_S
            try:
                self._is_there = self._location.exists() if self._location else has_data(self._task, self._store)
            except SourceError as error:
                _log.warning("%s: no data set: %s", self._task.name, error)
        return self._is_there

    def summary(self) -> dict[str, Any]:
        """Return the figures of the data set in JSON types.

        Raises:
            Problem: there is no data set.
        """
        return self._read().summary

    def pictures(self, class_index: int, count: int, side: int) -> list[dict[str, Any]]:
        """Return up to `count` pictures of a class, one per track, in JSON types.

        Args:
            class_index: the class.
            count: largest number of pictures.
            side: of the square thumbnails, in pixels.

        Raises:
            Problem: there is no data set, no such class, or a picture cannot be read.
        """
        known = self._read()
        classes = len(known.summary["classes"])
        if class_index >= classes:
            raise Problem("not_found", f"There is no class {class_index}; classes are numbered 0 to {classes - 1}.")
        examples = choose_one_per_track(known.last_frames, class_index, count)
        try:
            pixels = decode_examples(known.last_frames, examples, side)
        except SourceError as error:
            raise self._missing(error) from error
        return [
            {"track": example.group, "size": list(example.size), "thumbnail": thumbnail(shown)}
            for example, shown in zip(examples, pixels, strict=True)
        ]

    def _read(self) -> _Known:
        with self._lock:
            if self._known is None:
                with _yielding_cpu():
                    self._known = self._find()
            return self._known

    def _find(self) -> _Known:
        task = self._task
        try:
            source = open_source(self._location, task) if self._location else find_source(task, self._store)
        except SourceError as error:
            raise self._missing(error) from error
        frames = [example for label in task.labels for example in choose_one_per_track(source, label.index)]
        return _Known(_summarise(source, task), replace(source, examples=tuple(frames)))

    def _missing(self, error: SourceError) -> Problem:
        """Return the problem for clients; the log has the paths."""
        _log.info("%s: no data set: %s", self._task.name, error)  # as most services have none
        folders = [self._store, *([self._location.parent] if self._location else [])]
        return Problem("no_data", as_sentence(without_paths(str(error), *folders)))


def read_integer(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return an integer of a query.

    Raises:
        Problem: it is not an integer from `least` to `most`.
    """
    text = query.get(name, str(default))
    if not (len(text) <= len(str(most)) and text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Problem("bad_request", f"{name} must be an integer from {least} to {most}, not {text!r}.")
    return int(text)


@contextmanager
def _yielding_cpu() -> Iterator[None]:
    """Let other threads get the interpreter ten times as fast as usual while this one computes.

    Reading the tables takes a second or two in each worker; answers would take tens of milliseconds longer meanwhile.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _summarise(source: Source, task: Task) -> dict[str, Any]:
    counts, tracks = count_classes(source, task), find_tracks(source)
    by_class = zip(counts.examples.tolist(), counts.tracks.tolist(), strict=True)
    published = source.origin != DRAWN
    return {
        "name": source.origin,
        "citation": task.data.citation if published else None,
        "licence": task.data.licence if published else None,
        "examples": len(source.examples),
        "tracks": len(tracks.groups),
        "classes": [
            {"class_index": index, "examples": examples, "tracks": tracks}
            for index, (examples, tracks) in enumerate(by_class)
        ],
        "sides": _histogram(measure_boxes(source).max(axis=1)),
        "frames_per_track": _histogram(tracks.frames),
    }


def _histogram(values: npt.NDArray[np.int64]) -> dict[str, list[int]]:
    """Count integers in at most `MAX_BINS` bins; the upper edge of a bin is excluded."""
    least, most = int(values.min()), int(values.max())
    step = -(-(most + 1 - least) // MAX_BINS)
    edges = np.arange(least, most + 1 + step, step)
    counts, _ = np.histogram(values, edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}
