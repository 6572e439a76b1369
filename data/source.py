"""Find and download data sets, and list their examples: pictures with a class and a group.

A task's layout is the arrangement of its training pictures in a folder or in a ZIP archive:

gtsrb       either layout of GTSRB:
  Kaggle    Train.csv (Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path), Train/<class>/CCCCC_TTTTT_FFFFF.png
  official  .../CCCCC/GT-CCCCC.csv (Filename;Width;Height;Roi.X1;…;ClassId), .../CCCCC/TTTTT_FFFFF.ppm
folders     <class>/<any name>.png, .jpg, .jpeg, .ppm, .webp, .bmp or .gif; the class is an index or a label's name

where C is the class, T the track (one physical sign) and F the frame. In class folders, each picture is its own group.
Evaluation also reads class folders for every task, and GTSRB's test sets, which do not identify tracks:

Kaggle      Test.csv (columns as in Train.csv), Test/NNNNN.png
official    GT-final_test.csv (columns as in GT-CCCCC.csv) and NNNNN.ppm, in any folders or in archives in one folder
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
NONE, NO_CLASS = "none", -1  # folder and class index of feedback that shows none of the classes
ORIGIN_FILE = "ORIGIN"  # next to the Train.csv of drawings, so that they are not mistaken for photos

_EXPECTED = {
    "gtsrb": "neither Train.csv with a folder Train next to it, nor the tables GT-CCCCC.csv of the official archive",
    "folders": "no pictures in folders named after their classes",
}
# RuntimeError: the archive is encrypted.
_READ_ERRORS = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
_KAGGLE_FILE = re.compile(r"(?P<class>\d{5})_(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_FILE = re.compile(r"(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_TABLE = re.compile(r"GT-(?P<class>\d{5})\.csv")
_CLASS_INDEX = re.compile(r"\d{1,5}", re.ASCII)
_PICTURES = {".png", ".jpg", ".jpeg", ".ppm", ".webp", ".bmp", ".gif"}


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    Attributes:
        path: path of the file, relative to the source.
        class_index: class that the picture shows, or `NO_CLASS`.
        group: name that is unique across classes ("CCCCC/TTTTT"); the path if groups are unknown.
        size: (height, width) in pixels, as given in the table; without a table, the size of the upright picture.
        box: region of interest (left, top, right, bottom) in pixels, as given in the table; without a table, the whole
            picture.
    """

    path: str
    class_index: int
    group: str
    size: tuple[int, int]
    box: Box


class _Files(Protocol):
    """The files in a folder or an archive, by name."""

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
    """A folder whose archives appear as folders with the same names."""

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
    """The examples of a data set and access to their files.

    Attributes:
        files: the files in the folder or archive.
        origin: `DRAWN` for drawings, the name of the folder or archive for labelled class folders, otherwise the data
            set's name in the task file.
        examples: sorted by path.
        grouped: whether groups are known; otherwise each picture is its own group.
    """

    files: _Files
    origin: str
    examples: tuple[Example, ...]
    grouped: bool = True

    def read(self, example: Example) -> bytes:
        """Return the bytes of an example's file.

        Raises:
            SourceError: the file is missing or cannot be read.
        """
        return _read(self.files, example.path)

    def name_of(self, example: Example) -> str:
        """Return the name of an example in messages: folder or archive, and path."""
        return f"{self.files.location}/{example.path}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the class, group, box and bytes of all examples, sorted by path; hexadecimal.

        Raises:
            SourceError: a file is missing or cannot be read.
        """
        digest = hashlib.sha256()
        for example in self.examples:
            content = hashlib.sha256(self.read(example)).hexdigest()
            digest.update(f"{example.class_index} {example.group} {example.box} {content}\n".encode())
        return digest.hexdigest()


def open_source(location: Path, task: Task) -> Source:
    """Open the training set in a folder, in an archive, or in an archive inside the folder.

    Raises:
        SourceError: the location does not exist, has no training set in the task's layout, contains an unreadable file,
            or lacks examples of a class.
    """
    source = _find_training(location, task)
    if source is None:
        raise SourceError(f"{location}: no data set in a known layout ({_EXPECTED[task.data.layout]})")
    return _require_all_classes(source, task)


def open_labelled(location: Path, task: Task) -> Source:
    """Open labelled pictures for an evaluation: a test set, else a training set, else class folders.

    They may be in a folder, in an archive, or in archives inside the folder. Classes may lack examples.

    Raises:
        SourceError: the location does not exist, has no labelled pictures in a known layout, contains an unreadable
            file, or has a picture in a folder that is not named after a class.
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
    """Open feedback: class folders of pictures that users labelled. Pictures in the folder `NONE` have `NO_CLASS`.

    Raises:
        SourceError: there is no feedback, a picture cannot be read, or is in a folder that is not named after a class.
    """
    source = _read_folders(_open(location), task, no_class_folder=NONE) if location.is_dir() else None
    if source is None:
        raise SourceError(f"{location}: there is no feedback; give some on the page or through the service")
    return source


def read_pictures(location: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name (for messages) and the bytes of each picture in a folder or archive, sorted by path.

    Raises:
        SourceError: the location does not exist, has no pictures, or contains an unreadable one.
    """
    files = _open(location)
    names = [name for name in sorted(_list_names(files)) if name.suffix.lower() in _PICTURES and name.name[0] != "."]
    if not names:
        raise SourceError(f"{location}: there are no pictures ({', '.join(sorted(_PICTURES))})")
    for name in names:
        yield f"{location}/{name}", _read(files, str(name))


def find_source(task: Task, store: Path = STORE) -> Source:
    """Find the task's data set in the store. Drawings are never picked automatically.

    Class folders are looked for only in `<store>/<task>` and `<store>/<task>.zip`, because any folder may have some.

    Raises:
        SourceError: there is no data set; the message lists ways to get one.
    """
    if task.data.layout == "folders":
        candidates = [path for path in (store / task.name, store / f"{task.name}.zip") if path.exists()]
    else:
        candidates = sorted(path for path in store.iterdir() if _may_contain_data(path)) if store.is_dir() else []
        if (store / "Train.csv").is_file():
            candidates.insert(0, store)
    for candidate in candidates:
        source = _read_training(_open(candidate), task)
        if source is not None and source.origin != DRAWN:
            return _require_all_classes(source, task)
    name = f" --task {task.name}" if task.name != DEFAULT_TASK else ""
    ways = [f"  python init.py{name} --data PATH    uses your own folder or archive"]
    if task.data.archives:
        ways.insert(0, f"  python init.py{name} --download     downloads {task.data.name}")
    if task.load_extension():
        ways.append(f"  python init.py{name} --data drawn   trains on drawings; fine for a demo, not for real photos")
    raise SourceError(
        f"no data set for {task.title} was found in {store}. Ways to get one:\n"
        + "\n".join(ways)
        + "\nIf a classifier already exists, add --retrain; the result replaces it."
    )


def _may_contain_data(path: Path) -> bool:
    return path.suffix == ".zip" or (path.is_dir() and path.name not in {DRAWN, FEEDBACK, "cache", "training"})


def describe_gaps(source: Source, task: Task) -> list[str]:
    """Describe how a source differs from the complete data set, one sentence per difference."""
    found, expected = len(source.examples), task.data.examples
    if source.origin == DRAWN or not expected or found == expected:
        return []
    return [f"{source.files.location} has {found:,} training images; the complete data set has {expected:,}"]


def download(task: Task, store: Path = STORE, *, progress: bool = True) -> list[Path]:
    """Download the task's archives into the store and verify their MD5 checksums; existing archives are kept.

    Args:
        task: lists the archives.
        store: folder to download to.
        progress: whether to show a progress bar.

    Returns:
        Paths of the archives.

    Raises:
        SourceError: a download failed, or a checksum does not match.
    """
    import pooch  # imported here because serving must not depend on it
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


def full_box(size: tuple[int, int]) -> Box:
    """Return the box that covers a whole picture of this (height, width)."""
    return 0, 0, size[1], size[0]


def _open(location: Path) -> _Files:
    if not location.exists():
        raise SourceError(f"{location}: there is no such folder or archive")
    try:
        return _Folder(location) if location.is_dir() else _Archive(location)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{location}: cannot be opened: {error}") from error


def _list_names(files: _Files) -> set[PurePosixPath]:
    return {PurePosixPath(name) for name in files.names()}


def _find_training(location: Path, task: Task) -> Source | None:
    """Return the training set in a folder, an archive, or an archive inside the folder; None if there is none.

    Photos take precedence over drawings.
    """
    archives = sorted(location.glob("*.zip")) if location.is_dir() else []
    drawn = None
    for candidate in [location, *archives]:
        source = _read_training(_open(candidate), task)
        if source is not None and source.origin != DRAWN:
            return source
        drawn = drawn or source
    return drawn


def _read_training(files: _Files, task: Task) -> Source | None:
    """Return the training set in a folder or archive; None if nothing there has the task's layout."""
    if task.data.layout == "folders":
        pictures = _read_folders(files, task)
        return pictures and replace(pictures, origin=task.data.name, grouped=True)
    names = _list_names(files)
    kaggle = _find_tables(names, "Train.csv")
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
    return _create_source(files, names, origin, examples, task)


def _read_test(files: _Files, task: Task) -> Source | None:
    """Return the test set in a folder or archive; None if nothing there has a known layout."""
    names = _list_names(files)
    kaggle, official = _find_tables(names, "Test.csv"), _find_tables(names, "GT-final_test.csv")
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path")
    elif official:
        table = official[0]
        examples = _read_table(files, table, ";", "Filename", pictures=_find_picture_folder(files, table, names))
    else:
        return None
    return _create_source(files, names, task.data.name, examples, task, grouped=False)


def _read_folders(files: _Files, task: Task, no_class_folder: str | None = None) -> Source | None:
    """Return the pictures in class folders; None if there are no pictures.

    Pictures in folders named `no_class_folder` get `NO_CLASS`.

    Raises:
        SourceError: a picture cannot be read, or is in a folder that is not named after a class.
    """
    names = _list_names(files)
    examples = []
    for path in sorted(names):
        if path.suffix.lower() not in _PICTURES or path.name.startswith(
            "."
        ):  # macOS adds files named ._NAME to archives
            continue
        class_index = NO_CLASS if path.parent.name == no_class_folder else _find_class(path.parent, task)
        if class_index is None:
            raise SourceError(
                f"{files.location}/{path}: the class of this picture is unknown: it is not in a table, and its folder "
                f"{path.parent.name!r} is neither a class index, 0 to {len(task.labels) - 1}, nor the name of a label"
            )
        try:
            size = read_size(_read(files, str(path)))
        except ImageError as error:
            raise SourceError(f"{files.location}/{path}: {error}") from error
        examples.append(Example(str(path), class_index, str(path), size, full_box(size)))
    examples.sort(key=lambda example: example.path)
    return Source(files, files.location.resolve().name, tuple(examples), grouped=False) if examples else None


def _find_class(folder: PurePosixPath, task: Task) -> int | None:
    """Return the class that a folder is named after, or None."""
    # A name with a slash, such as "Speed limit (20km/h)", appears as two nested folders.
    matches = [label for label in task.labels if f"/{folder}".endswith(f"/{label.name}")]
    if matches:
        return max(matches, key=lambda label: len(label.name)).index
    index = int(folder.name) if _CLASS_INDEX.fullmatch(folder.name) else -1
    return index if 0 <= index < len(task.labels) else None


def _find_tables(names: set[PurePosixPath], name: str) -> list[PurePosixPath]:
    """Return the tables with this name, those of photos before those of drawings, then sorted by depth."""
    tables = [table for table in names if table.name == name]
    return sorted(tables, key=lambda table: (_is_drawn(table, names), len(table.parts), table))


def _is_drawn(table: PurePosixPath, names: set[PurePosixPath]) -> bool:
    return table.with_name(ORIGIN_FILE) in names


def _find_picture_folder(files: _Files, table: PurePosixPath, names: set[PurePosixPath]) -> PurePosixPath:
    """Return the folder with most of the pictures that a table lists; the table's own folder wins ties.

    The archive of the 2011 contest has fewer pictures but with the same names.
    """
    listed = {_read_cell(files, table, line, row, "Filename") for line, row in _read_rows(files, table, ";")}
    counts = Counter(name.parent for name in names if name.name in listed)
    return max([table.parent, *sorted(counts)], key=counts.__getitem__)


def _read_table(
    files: _Files,
    table: PurePosixPath,
    delimiter: str,
    column: str,
    pattern: re.Pattern[str] | None = None,
    form: str = "",
    pictures: PurePosixPath | None = None,
) -> list[Example]:
    """Read the examples that a table lists.

    Args:
        files: the folder or archive with the table.
        table: path of the table.
        delimiter: delimiter of the columns.
        column: name of the column with file names.
        pattern: pattern of the file names, with the track and, unless it is in the table's name, the class. Without a
            pattern, each picture is its own group.
        form: the pattern in a form that users understand.
        pictures: folder that the file names are relative to; by default the folder of the table.

    Raises:
        SourceError: the table cannot be read, lacks a value, or contains an invalid one.
    """
    class_of_table = _OFFICIAL_TABLE.fullmatch(table.name)
    examples = []
    for line, row in _read_rows(files, table, delimiter):
        path = (pictures or table.parent) / _read_cell(files, table, line, row, column)
        group = str(path)
        if pattern is not None:
            match = pattern.fullmatch(path.name)
            if match is None:
                raise SourceError(f"{files.location}/{table}, line {line}: {path.name!r} does not have the form {form}")
            group = f"{(class_of_table or match)['class']}/{match['track']}"
        examples.append(_create_example(files, table, line, row, path, group))
    return examples


def _read(files: _Files, name: str) -> bytes:
    try:
        return files.read(name)
    except _READ_ERRORS as error:
        raise SourceError(f"{files.location}/{name}: cannot be read: {error}") from error


def _read_rows(files: _Files, table: PurePosixPath, delimiter: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = _read(files, str(table)).decode("utf-8-sig")
        yield from enumerate(csv.DictReader(io.StringIO(text), delimiter=delimiter), start=2)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{files.location}/{table}: cannot be read: {error}") from error


def _read_cell(files: _Files, table: PurePosixPath, line: int, row: Mapping[str, str], column: str) -> str:
    value = row.get(column)
    if not value:
        raise SourceError(f"{files.location}/{table}, line {line}: no value in column {column!r}")
    return value


def _create_example(
    files: _Files, table: PurePosixPath, line: int, row: Mapping[str, str], path: PurePosixPath, group: str
) -> Example:
    columns = ("ClassId", "Height", "Width", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")
    cells = [_read_cell(files, table, line, row, column) for column in columns]
    try:
        class_index, height, width, left, top, right, bottom = (int(cell) for cell in cells)
    except ValueError as error:
        raise SourceError(f"{files.location}/{table}, line {line}: {error}") from error
    size, box = (height, width), (left, top, right, bottom)
    if not lies_inside(box, size):
        raise SourceError(f"{files.location}/{table}, line {line}: the box does not lie inside the picture")
    return Example(str(path), class_index, group, size, box)


def _create_source(
    files: _Files,
    names: set[PurePosixPath],
    origin: str,
    examples: list[Example],
    task: Task,
    *,
    grouped: bool = True,
) -> Source:
    """Check examples against the files and the task, and create a source.

    Raises:
        SourceError: there are no examples, or one has no file or a class that the task does not have.
    """
    if not examples:
        raise SourceError(f"{files.location}: the table lists no pictures")
    for example in examples:
        if PurePosixPath(example.path) not in names:
            raise SourceError(f"{files.location}/{example.path}: listed in the table, but missing")
    unknown = sorted({example.class_index for example in examples} - set(range(len(task.labels))))
    if unknown:
        raise SourceError(f"{files.location}: the task has no classes {unknown}, only 0 to {len(task.labels) - 1}")
    return Source(files, origin, tuple(sorted(examples, key=lambda example: example.path)), grouped)


def _require_all_classes(source: Source, task: Task) -> Source:
    """Return the source if it has examples of every class.

    Raises:
        SourceError: a class has no examples.
    """
    found = {example.class_index for example in source.examples}
    missing = [f"{label.index} ({label.name})" for label in task.labels if label.index not in found]
    if missing:
        raise SourceError(f"{source.files.location}: no examples of class {', '.join(missing)}")
    return source
