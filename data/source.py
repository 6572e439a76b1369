"""Find, download and list a data set: which picture belongs to which class and group.

A task's layout says how its training pictures are arranged, in a folder or in an unopened ZIP archive:

gtsrb       one of two layouts of GTSRB:
  Kaggle    Train.csv (Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path), Train/<class>/CCCCC_TTTTT_FFFFF.png
  official  .../CCCCC/GT-CCCCC.csv (Filename;Width;Height;Roi.X1;…;ClassId), .../CCCCC/TTTTT_FFFFF.ppm
folders     <class>/<any name>.png, .jpg, .jpeg, .ppm, .webp, .bmp or .gif; the class is an index or a label's name

where C is the class, T the track (one physical sign) and F the frame. In class folders every picture is a group of its
own. Evaluation also reads class folders for any task, and the test sets of GTSRB, which do not say which pictures show
the same sign:

Kaggle      Test.csv (columns as in Train.csv), Test/NNNNN.png
official    GT-final_test.csv (columns as in GT-CCCCC.csv), and NNNNN.ppm in another folder or archive beside it
"""

import csv
import hashlib
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from data.errors import ImageError, SourceError
from data.images import Box, lies_inside, read_size
from data.task import DEFAULT_TASK, Task

STORE = Path(__file__).with_name("store")
DRAWN = "drawn"
FEEDBACK = "feedback"
NONE, NO_CLASS = "none", -1  # the folder and the class index of feedback that shows none of the classes
ORIGIN_FILE = "ORIGIN"  # beside the Train.csv of drawn signs, so that they cannot pass for photographs

_EXPECTED = {
    "gtsrb": "neither a Train.csv with Train/<class>/ beside it nor GT-CCCCC.csv tables of the official archive",
    "folders": "no pictures in folders named after their classes",
}
_UNREADABLE = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)  # RuntimeError: encrypted
_KAGGLE_FILE = re.compile(r"(?P<class>\d{5})_(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_FILE = re.compile(r"(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_TABLE = re.compile(r"GT-(?P<class>\d{5})\.csv")
_CLASS_INDEX = re.compile(r"\d{1,5}", re.ASCII)
_PICTURES = {".png", ".jpg", ".jpeg", ".ppm", ".webp", ".bmp", ".gif"}


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    `path` is relative to the source; `group` is unique over all classes ("CCCCC/TTTTT"), and the path itself where
    groups are not known; `size` is (height, width) in pixels and `box` the region of interest (left, top, right,
    bottom), both as the tables give them; without a table, the size is the picture's own and the box is all of it.
    """

    path: str
    class_index: int
    group: str
    size: tuple[int, int]
    box: Box


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


class _FolderWithArchives(_Folder):
    """A folder in which each archive looks like a folder of the same name."""

    def __init__(self, location: Path) -> None:
        super().__init__(location)
        self._archives = {path.name: _open(path) for path in sorted(location.glob("*.zip"))}

    def names(self) -> Iterator[str]:
        yield from super().names()
        for folder, archive in self._archives.items():
            yield from (f"{folder}/{name}" for name in archive.names())

    def read(self, name: str) -> bytes:
        folder, _, member = name.partition("/")
        return self._archives[folder].read(member) if folder in self._archives else super().read(name)


@dataclass(frozen=True)
class Source:
    """A data set that was found: its examples, sorted by path, and the way to their bytes.

    `origin` is `DRAWN` for drawn signs, the name of the folder or archive for class folders, and otherwise the data
    set's name in the task file; `grouped` says whether groups are known, or else each picture is its own.
    """

    files: _Files
    origin: str
    examples: tuple[Example, ...]
    grouped: bool = True

    def read(self, example: Example) -> bytes:
        """Return the bytes of one picture's file.

        Raises:
            SourceError: the file is missing or cannot be read.
        """
        return _read(self.files, example.path)

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
    source = _find_training(location, task)
    if source is None:
        raise SourceError(f"{location}: no data set in a known layout ({_EXPECTED[task.data.layout]})")
    return _with_all_classes(source, task)


def open_labelled(location: Path, task: Task) -> Source:
    """List labelled pictures to measure with: a test set, else a training set, else folders named after classes.

    Each may lie in a folder, in an archive, or in archives inside that folder; not every class needs examples.

    Raises:
        SourceError: nothing there, no known layout, a table or picture that cannot be read, or a folder with
            pictures that is not named after a class.
    """
    files = _FolderWithArchives(location) if location.is_dir() else _open(location)
    source = None
    if task.data.layout == "gtsrb":
        source = _read_test(files, task) or _find_training(location, task)
    source = source or _read_folders(files, task)
    if source is None:
        raise SourceError(
            f"{location}: no labelled pictures in a known layout (neither a table Test.csv, GT-final_test.csv, "
            "Train.csv or GT-CCCCC.csv nor pictures in folders named after their classes)"
        )
    return source


def open_feedback(location: Path, task: Task) -> Source:
    """List pictures that people named, in folders of their classes; those in the folder `NONE` are of `NO_CLASS`.

    Raises:
        SourceError: there are none, one cannot be read, or lies in a folder that is not named after a class.
    """
    source = _read_folders(_open(location), task, none=NONE) if location.is_dir() else None
    if source is None:
        raise SourceError(f"{location}: there are no pictures that people have named")
    return source


def read_pictures(location: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what a message should call each picture in a folder or archive, and its bytes, in the order of names.

    Raises:
        SourceError: nothing there, no pictures in it, or one that cannot be read.
    """
    files = _open(location)
    names = [name for name in sorted(_names(files)) if name.suffix.lower() in _PICTURES and name.name[0] != "."]
    if not names:
        raise SourceError(f"{location}: there are no pictures ({', '.join(sorted(_PICTURES))})")
    for name in names:
        yield f"{location}/{name}", _read(files, str(name))


def find_source(task: Task, store: Path = STORE) -> Source:
    """Look for the task's data set in the store. Drawn signs are never picked automatically.

    Class folders are looked for in `<store>/<task>` and `<store>/<task>.zip` only, since their names could be anything.

    Raises:
        SourceError: there is none; the message names the ways to get one.
    """
    if task.data.layout == "folders":
        candidates = [path for path in (store / task.name, store / f"{task.name}.zip") if path.exists()]
    else:
        candidates = sorted(path for path in store.iterdir() if _may_hold_data(path)) if store.is_dir() else []
        if (store / "Train.csv").is_file():
            candidates.insert(0, store)
    for candidate in candidates:
        source = _read_training(_open(candidate), task)
        if source is not None and source.origin != DRAWN:
            return _with_all_classes(source, task)
    name = f" --task {task.name}" if task.name != DEFAULT_TASK else ""
    ways = [f"  python init.py{name} --data PATH    uses a folder or archive that you have"]
    if task.data.archives:
        ways.insert(0, f"  python init.py{name} --download     downloads {task.data.name}")
    if task.load_extension():
        ways.append(f"  python init.py{name} --data drawn   trains on drawings; fine for a demo, not for real photos")
    raise SourceError(
        f"no data set for {task.title} was found in {store}. Ways to get one:\n"
        + "\n".join(ways)
        + "\nIf a classifier already exists, add --retrain; the result replaces it."
    )


def _may_hold_data(path: Path) -> bool:
    return path.suffix == ".zip" or (path.is_dir() and path.name not in {DRAWN, FEEDBACK, "cache", "training"})


def describe_gaps(source: Source, task: Task) -> list[str]:
    """Say what differs from the complete data set, in sentences; an empty list means nothing does."""
    found, expected = len(source.examples), task.data.examples
    if source.origin == DRAWN or not expected or found == expected:
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


def whole_box(size: tuple[int, int]) -> Box:
    """Return the box that is a whole picture of this (height, width)."""
    return 0, 0, size[1], size[0]


def _open(location: Path) -> _Files:
    if not location.exists():
        raise SourceError(f"{location}: there is no such folder or archive")
    try:
        return _Folder(location) if location.is_dir() else _Archive(location)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{location}: cannot be opened: {error}") from error


def _names(files: _Files) -> set[PurePosixPath]:
    return {PurePosixPath(name) for name in files.names()}


def _find_training(location: Path, task: Task) -> Source | None:
    """Return the training set at a location or in an archive inside that folder, or None; photographs come first."""
    archives = sorted(location.glob("*.zip")) if location.is_dir() else []
    drawn = None
    for candidate in [location, *archives]:
        source = _read_training(_open(candidate), task)
        if source is not None and source.origin != DRAWN:
            return source
        drawn = drawn or source
    return drawn


def _read_training(files: _Files, task: Task) -> Source | None:
    """Return the training set in a folder or archive, or None if it does not have the task's layout."""
    if task.data.layout == "folders":
        pictures = _read_folders(files, task)
        return pictures and replace(pictures, origin=task.data.name, grouped=True)
    names = _names(files)
    kaggle = _tables(names, "Train.csv")
    official = sorted(name for name in names if _OFFICIAL_TABLE.fullmatch(name.name))
    origin = task.data.name
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path", _KAGGLE_FILE, "CCCCC_TTTTT_FFFFF")
        if _is_drawn(kaggle[0], names):
            origin = DRAWN
    elif official:
        examples = []
        for table in official:
            examples += _read_table(files, table, ";", "Filename", _OFFICIAL_FILE, "TTTTT_FFFFF")
    else:
        return None
    return _source(files, names, origin, examples, task)


def _read_test(files: _Files, task: Task) -> Source | None:
    """Return the test set in a folder or archive, or None if neither layout is there."""
    names = _names(files)
    kaggle, official = _tables(names, "Test.csv"), _tables(names, "GT-final_test.csv")
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path")
    elif official:
        table = official[0]
        examples = _read_table(files, table, ";", "Filename", pictures=_folder_of_pictures(files, table, names))
    else:
        return None
    return _source(files, names, task.data.name, examples, task, grouped=False)


def _read_folders(files: _Files, task: Task, none: str | None = None) -> Source | None:
    """Return the pictures in folders named after classes, or None if there are no pictures.

    Those in a folder of the name `none`, if that is given, are of `NO_CLASS`.
    """
    names = _names(files)
    examples = []
    for path in sorted(names):
        if path.suffix.lower() not in _PICTURES or path.name.startswith("."):  # macOS puts ._NAME into archives
            continue
        class_index = NO_CLASS if path.parent.name == none else _class_of(path.parent, task)
        if class_index is None:
            raise SourceError(
                f"{files.location}/{path}: no table tells the class of this picture, and {path.parent.name!r} is "
                f"neither a class index, 0 to {len(task.labels) - 1}, nor the name of a label"
            )
        try:
            size = read_size(_read(files, str(path)))
        except ImageError as error:
            raise SourceError(f"{files.location}/{path}: {error}") from error
        examples.append(Example(str(path), class_index, str(path), size, whole_box(size)))
    examples.sort(key=lambda example: example.path)
    return Source(files, files.location.resolve().name, tuple(examples), grouped=False) if examples else None


def _class_of(folder: PurePosixPath, task: Task) -> int | None:
    # Where a name holds a slash, as "Speed limit (20km/h)" does, it is two folders.
    named = [label for label in task.labels if f"/{folder}".endswith(f"/{label.name}")]
    if named:
        return max(named, key=lambda label: len(label.name)).index
    index = int(folder.name) if _CLASS_INDEX.fullmatch(folder.name) else -1
    return index if 0 <= index < len(task.labels) else None


def _tables(names: set[PurePosixPath], name: str) -> list[PurePosixPath]:
    """Return the tables of this name: those of photographs before drawings, then the least deep first."""
    tables = [table for table in names if table.name == name]
    return sorted(tables, key=lambda table: (_is_drawn(table, names), len(table.parts), table))


def _is_drawn(table: PurePosixPath, names: set[PurePosixPath]) -> bool:
    return table.with_name(ORIGIN_FILE) in names


def _folder_of_pictures(files: _Files, table: PurePosixPath, names: set[PurePosixPath]) -> PurePosixPath:
    """Return the folder that holds most of the pictures named in a table, its own if none holds more.

    The official test set of the 2011 contest has pictures of the same names, but fewer of them.
    """
    wanted = {_cell(files, table, line, row, "Filename") for line, row in _rows(files, table, ";")}
    held = Counter(name.parent for name in names if name.name in wanted)
    return max([table.parent, *sorted(held)], key=held.__getitem__)


def _read_table(
    files: _Files,
    table: PurePosixPath,
    delimiter: str,
    column: str,
    pattern: re.Pattern[str] | None = None,
    form: str = "",
    pictures: PurePosixPath | None = None,
) -> list[Example]:
    """Read one table: `column` holds the files' names, which match `pattern`; `form` shows it to a person.

    The class in a group is that in the name of the file, or else in that of the table; without a pattern, the group
    is the path. Paths start at the folder `pictures`, or else at that of the table.
    """
    own = _OFFICIAL_TABLE.fullmatch(table.name)
    examples = []
    for line, row in _rows(files, table, delimiter):
        path = (pictures or table.parent) / _cell(files, table, line, row, column)
        group = str(path)
        if pattern is not None:
            match = pattern.fullmatch(path.name)
            if match is None:
                raise SourceError(f"{files.location}/{table}, line {line}: {path.name!r} is no {form} name")
            group = f"{(own or match)['class']}/{match['track']}"
        examples.append(_example(files, table, line, row, path, group))
    return examples


def _read(files: _Files, name: str) -> bytes:
    try:
        return files.read(name)
    except _UNREADABLE as error:
        raise SourceError(f"{files.location}/{name}: cannot be read: {error}") from error


def _rows(files: _Files, table: PurePosixPath, delimiter: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = _read(files, str(table)).decode("utf-8-sig")
        yield from enumerate(csv.DictReader(io.StringIO(text), delimiter=delimiter), start=2)
    except (UnicodeDecodeError, csv.Error) as error:
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
    size, box = (height, width), (left, top, right, bottom)
    if not lies_inside(box, size):
        raise SourceError(f"{files.location}/{table}, line {line}: the box does not lie inside the picture")
    return Example(str(path), class_index, group, size, box)


def _source(
    files: _Files,
    names: set[PurePosixPath],
    origin: str,
    examples: list[Example],
    task: Task,
    *,
    grouped: bool = True,
) -> Source:
    """Check examples against the files and the task, and sort them."""
    if not examples:
        raise SourceError(f"{files.location}: the table names no pictures")
    for example in examples:
        if PurePosixPath(example.path) not in names:
            raise SourceError(f"{files.location}/{example.path}: named in the table, but not there")
    unknown = sorted({example.class_index for example in examples} - set(range(len(task.labels))))
    if unknown:
        raise SourceError(f"{files.location}: classes {unknown} are not among the {len(task.labels)} of the task")
    return Source(files, origin, tuple(sorted(examples, key=lambda example: example.path)), grouped)


def _with_all_classes(source: Source, task: Task) -> Source:
    """Return a source that can be trained on: with examples of every class."""
    found = {example.class_index for example in source.examples}
    missing = [f"{label.index} ({label.name})" for label in task.labels if label.index not in found]
    if missing:
        raise SourceError(f"{source.files.location}: no examples of class {', '.join(missing)}")
    return source
