"""Find, download and list a data set: which picture is of which class and group.

Two public layouts are read, each from a folder or from an unopened ZIP archive:

Kaggle      Train.csv (Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path), Train/<class>/CCCCC_TTTTT_FFFFF.png
official    .../CCCCC/GT-CCCCC.csv (Filename;Width;Height;Roi.X1;…;ClassId), .../CCCCC/TTTTT_FFFFF.ppm

where C is the class, T the track (one physical sign) and F the frame.
"""

import csv
import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from data.errors import SourceError
from data.task import Task

STORE = Path(__file__).with_name("store")
DRAWN = "drawn"
ORIGIN_FILE = "ORIGIN"  # beside the Train.csv of drawn signs, so that they cannot pass for photographs

_UNREADABLE = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)  # RuntimeError: encrypted
_KAGGLE_FILE = re.compile(r"(?P<class>\d{5})_(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_FILE = re.compile(r"(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_TABLE = re.compile(r"GT-(?P<class>\d{5})\.csv")


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    `path` is relative to the source; `group` is unique over all classes ("CCCCC/TTTTT"); `size` is (height, width)
    in pixels and `box` the region of interest (left, top, right, bottom), both as the tables give them.
    """

    path: str
    class_index: int
    group: str
    size: tuple[int, int]
    box: tuple[int, int, int, int]


class _Files(Protocol):
    """Named files, in a folder or in an archive."""

    location: Path

    def names(self) -> Iterable[str]: ...

    def read(self, name: str) -> bytes: ...


class _Folder:
    def __init__(self, location: Path) -> None:
        self.location = location

    def names(self) -> Iterator[str]:
        for path in self.location.rglob("*"):
            if path.is_file():
                yield path.relative_to(self.location).as_posix()

    def read(self, name: str) -> bytes:
        return (self.location / name).read_bytes()


class _Archive:
    def __init__(self, location: Path) -> None:
        self.location = location
        self._archive = zipfile.ZipFile(location)

    def names(self) -> list[str]:
        return self._archive.namelist()

    def read(self, name: str) -> bytes:
        return self._archive.read(name)


@dataclass(frozen=True)
class Source:
    """A data set that was found: its examples, sorted by path, and the way to their bytes.

    `origin` is `DRAWN` for drawn signs and otherwise the data set's name in the task file.
    """

    files: _Files
    origin: str
    examples: tuple[Example, ...]

    def read(self, example: Example) -> bytes:
        """Return the bytes of one picture's file.

        Raises:
            SourceError: the file is missing or cannot be read.
        """
        try:
            return self.files.read(example.path)
        except _UNREADABLE as error:
            raise SourceError(f"{self.name_of(example)}: cannot be read: {error}") from error

    def name_of(self, example: Example) -> str:
        """Return what a message should call this picture: archive or folder, and the path inside."""
        return f"{self.files.location}/{example.path}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every example's class, group, box and bytes, in the order of the paths; hexadecimal.

        Raises:
            SourceError: a file is missing or cannot be read.
        """
        digest = hashlib.sha256()
        for example in self.examples:
            content = hashlib.sha256(self.read(example)).hexdigest()
            digest.update(f"{example.class_index} {example.group} {example.box} {content}\n".encode())
        return digest.hexdigest()


def open_source(location: Path, task: Task) -> Source:
    """List the data set in a folder, in an archive, or in an archive inside that folder.

    Raises:
        SourceError: nothing there, no known layout, a table that cannot be read, or a class without examples.
    """
    candidates: list[Path]
    if location.is_dir():
        candidates = [location, *sorted(location.glob("*.zip"))]
    elif location.is_file():
        candidates = [location]
    else:
        raise SourceError(f"{location}: there is no such folder or archive")
    for candidate in candidates:
        source = _read_layout(candidate, task)
        if source is not None:
            return source
    raise SourceError(
        f"{location}: no data set in a known layout (neither a Train.csv with Train/<class>/ beside it "
        "nor GT-CCCCC.csv tables of the official archive)"
    )


def find_source(task: Task, store: Path = STORE) -> Source:
    """Look for the task's data set in the store and its folders. Drawn signs are never taken unasked.

    Raises:
        SourceError: there is none; the message names the three ways to get one.
    """
    candidates = sorted(path for path in store.iterdir() if _may_hold_data(path)) if store.is_dir() else []
    if (store / "Train.csv").is_file():
        candidates.insert(0, store)
    for candidate in candidates:
        source = _read_layout(candidate, task)
        if source is not None and source.origin != DRAWN:
            return source
    raise SourceError(
        f"no data set for {task.title} was found under {store}. There are three ways to get one:\n"
        f"  python init.py --download     fetches {task.data.name}\n"
        "  python init.py --data PATH    takes a folder or archive that you have; in data/store it is found unasked\n"
        "  python init.py --data drawn   trains on drawings; good for a try, not for photographs"
    )


def _may_hold_data(path: Path) -> bool:
    return path.suffix == ".zip" or (path.is_dir() and path.name not in {DRAWN, "cache", "training"})


def describe_gaps(source: Source, task: Task) -> list[str]:
    """Say what differs from the complete data set, in sentences; an empty list means nothing does."""
    found, expected = len(source.examples), task.data.examples
    if source.origin == DRAWN or found == expected:
        return []
    return [f"{source.files.location} holds {found:,} training images; the complete set has {expected:,}"]


def download(task: Task, store: Path = STORE, *, progress: bool = True) -> list[Path]:
    """Fetch the task's archives into the store, each checked against its MD5; one already there is kept.

    Raises:
        SourceError: an address cannot be reached, or what came is not the file that was promised.
    """
    import pooch  # only this command needs it; serving must start without
    import requests

    store.mkdir(parents=True, exist_ok=True)
    names = {archive: PurePosixPath(archive.url).name for archive in task.data.archives}
    fetcher = pooch.create(
        path=store,
        base_url="",
        registry={name: f"md5:{archive.md5}" for archive, name in names.items()},
        urls={name: archive.url for archive, name in names.items()},
        retry_if_failed=2,
    )
    paths = []
    for archive, name in names.items():
        try:
            paths.append(Path(fetcher.fetch(name, progressbar=progress)))
        except (requests.RequestException, ValueError) as error:
            raise SourceError(f"{archive.url}: download failed: {error}") from error
    return paths


def _read_layout(location: Path, task: Task) -> Source | None:
    """Return the examples found at a location, or None if no known layout is there."""
    try:
        files: _Files = _Folder(location) if location.is_dir() else _Archive(location)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{location}: cannot be opened: {error}") from error
    names = {PurePosixPath(name) for name in files.names()}
    tables = [name for name in names if name.name == "Train.csv"]
    kaggle = sorted(tables, key=lambda table: (table.with_name(ORIGIN_FILE) in names, len(table.parts)))
    official = sorted(name for name in names if _OFFICIAL_TABLE.fullmatch(name.name))
    origin = task.data.name
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path", _KAGGLE_FILE, "CCCCC_TTTTT_FFFFF")
        if kaggle[0].with_name(ORIGIN_FILE) in names:
            origin = DRAWN
    elif official:
        examples = []
        for table in official:
            examples += _read_table(files, table, ";", "Filename", _OFFICIAL_FILE, "TTTTT_FFFFF")
    else:
        return None
    _check(files, names, examples, task)
    return Source(files, origin, tuple(sorted(examples, key=lambda example: example.path)))


def _read_table(
    files: _Files, table: PurePosixPath, delimiter: str, column: str, pattern: re.Pattern[str], form: str
) -> list[Example]:
    """Read one table: `column` holds the files' names, which match `pattern`; `form` shows it to a person.

    The class in a group is that in the name of the file, or else in that of the table.
    """
    own = _OFFICIAL_TABLE.fullmatch(table.name)
    examples = []
    for line, row in _rows(files, table, delimiter):
        path = table.parent / _cell(files, table, line, row, column)
        match = pattern.fullmatch(path.name)
        if match is None:
            raise SourceError(f"{files.location}/{table}, line {line}: {path.name!r} is no {form} name")
        group = f"{(own or match)['class']}/{match['track']}"
        examples.append(_example(files, table, line, row, path, group))
    return examples


def _rows(files: _Files, table: PurePosixPath, delimiter: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = files.read(str(table)).decode("utf-8-sig")
        yield from enumerate(csv.DictReader(io.StringIO(text), delimiter=delimiter), start=2)
    except (*_UNREADABLE, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{files.location}/{table}: cannot be read: {error}") from error


def _cell(files: _Files, table: PurePosixPath, line: int, row: Mapping[str, str], column: str) -> str:
    value = row.get(column)
    if not value:
        raise SourceError(f"{files.location}/{table}, line {line}: no value in column {column!r}")
    return value


def _example(
    files: _Files, table: PurePosixPath, line: int, row: Mapping[str, str], path: PurePosixPath, group: str
) -> Example:
    columns = ("ClassId", "Height", "Width", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")
    cells = [_cell(files, table, line, row, column) for column in columns]
    try:
        class_index, height, width, left, top, right, bottom = (int(cell) for cell in cells)
    except ValueError as error:
        raise SourceError(f"{files.location}/{table}, line {line}: {error}") from error
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise SourceError(f"{files.location}/{table}, line {line}: the box does not lie inside the picture")
    return Example(str(path), class_index, group, (height, width), (left, top, right, bottom))


def _check(files: _Files, names: set[PurePosixPath], examples: list[Example], task: Task) -> None:
    for example in examples:
        if PurePosixPath(example.path) not in names:
            raise SourceError(f"{files.location}/{example.path}: named in the table, but not there")
    counts = Counter(example.class_index for example in examples)
    unknown = sorted(set(counts) - set(range(len(task.labels))))
    if unknown:
        raise SourceError(f"{files.location}: classes {unknown} are not among the {len(task.labels)} of the task")
    missing = [f"{label.index} ({label.name})" for label in task.labels if not counts[label.index]]
    if missing:
        raise SourceError(f"{files.location}: no examples of class {', '.join(missing)}")
