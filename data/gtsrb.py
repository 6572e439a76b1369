"""The layout `gtsrb`: tables that list pictures with their class, size and region of interest.

Kaggle's archive and the official one differ:

Kaggle      Train.csv (Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path), Train/<class>/CCCCC_TTTTT_FFFFF.png
official    .../CCCCC/GT-CCCCC.csv (Filename;Width;Height;Roi.X1;…;ClassId), .../CCCCC/TTTTT_FFFFF.ppm

where C is the class, T the track (one physical sign) and F the frame. The test sets do not identify tracks:

Kaggle      Test.csv (columns as in Train.csv), Test/NNNNN.png
official    GT-final_test.csv (columns as in GT-CCCCC.csv) and NNNNN.ppm, in any folders or in archives in one folder
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from data.errors import SourceError
from data.example import Example
from data.files import Files, list_names, read_file
from data.images import lies_inside
from data.task import Task

ORIGIN_FILE = "ORIGIN"  # next to the Train.csv of drawings, so that they are not mistaken for photos
_KAGGLE_FILE = re.compile(r"(?P<class>\d{5})_(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_FILE = re.compile(r"(?P<track>\d{5})_\d{5}\.\w+")
_OFFICIAL_TABLE = re.compile(r"GT-(?P<class>\d{5})\.csv")


def has_training_tables(files: Files) -> bool:
    """Say whether there are tables of a training set, without reading them.

    Raises:
        SourceError: the archive cannot be read.
    """
    names = list_names(files)
    return bool(_find_tables(names, "Train.csv")) or any(_OFFICIAL_TABLE.fullmatch(name.name) for name in names)


def read_training_tables(files: Files, task: Task) -> tuple[list[Example], bool] | None:
    """Return the examples of a training set, sorted by path, and whether they are drawings; None if it has no tables.

    Raises:
        SourceError: a table cannot be read, or names a picture that is missing or of a class that the task lacks.
    """
    names = list_names(files)
    kaggle = _find_tables(names, "Train.csv")
    official = sorted(name for name in names if _OFFICIAL_TABLE.fullmatch(name.name))
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path", _KAGGLE_FILE, "CCCCC_TTTTT_FFFFF")
    elif official:
        examples = []
        for table in official:
            examples += _read_table(files, table, ";", "Filename", _OFFICIAL_FILE, "TTTTT_FFFFF")
    else:
        return None
    return _checked(files, names, examples, task), bool(kaggle) and _is_drawn(kaggle[0], names)


def read_test_tables(files: Files, task: Task) -> list[Example] | None:
    """Return the examples of a test set, sorted by path, each its own group; None if it has no tables.

    Raises:
        SourceError: a table cannot be read, or names a picture that is missing or of a class that the task lacks.
    """
    names = list_names(files)
    kaggle, official = _find_tables(names, "Test.csv"), _find_tables(names, "GT-final_test.csv")
    if kaggle:
        examples = _read_table(files, kaggle[0], ",", "Path")
    elif official:
        table = official[0]
        examples = _read_table(files, table, ";", "Filename", pictures=_find_picture_folder(files, table, names))
    else:
        return None
    return _checked(files, names, examples, task)


def _find_tables(names: set[PurePosixPath], name: str) -> list[PurePosixPath]:
    """Return the tables with this name, those of photos before those of drawings, then sorted by depth."""
    tables = [table for table in names if table.name == name]
    return sorted(tables, key=lambda table: (_is_drawn(table, names), len(table.parts), table))


def _is_drawn(table: PurePosixPath, names: set[PurePosixPath]) -> bool:
    return table.with_name(ORIGIN_FILE) in names


def _find_picture_folder(files: Files, table: PurePosixPath, names: set[PurePosixPath]) -> PurePosixPath:
    """Return the folder with most of the pictures that a table lists; the table's own folder wins ties.

    The archive of the 2011 contest has fewer pictures but with the same names.
    """
    listed = {_read_cell(files, table, line, row, "Filename") for line, row in _read_rows(files, table, ";")}
    counts = Counter(name.parent for name in names if name.name in listed)
    return max([table.parent, *sorted(counts)], key=counts.__getitem__)


def _read_table(
    files: Files,
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
        form: the pattern as shown in error messages.
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


def _read_rows(files: Files, table: PurePosixPath, delimiter: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = read_file(files, str(table)).decode("utf-8-sig")
        _check_delimiter(files, table, text.partition("\n")[0], delimiter)
        for line, row in enumerate(csv.DictReader(io.StringIO(text), delimiter=delimiter), start=2):
            if any(any(value) for value in row.values() if value):  # spreadsheets leave rows of delimiters at the end
                yield line, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{files.location}/{table}: cannot be read: {error}") from error


def _check_delimiter(files: Files, table: PurePosixPath, header: str, delimiter: str) -> None:
    other = ";" if delimiter == "," else ","
    if delimiter not in header and other in header:
        advice = f"save the table with {delimiter!r} instead"
        raise SourceError(f"{files.location}/{table}: the columns are separated by {other!r}; {advice}")


def _read_cell(files: Files, table: PurePosixPath, line: int, row: Mapping[str, str], column: str) -> str:
    value = row.get(column)
    if not value:
        raise SourceError(f"{files.location}/{table}, line {line}: no value in column {column!r}")
    return value


def _create_example(
    files: Files, table: PurePosixPath, line: int, row: Mapping[str, str], path: PurePosixPath, group: str
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


def _checked(files: Files, names: set[PurePosixPath], examples: list[Example], task: Task) -> list[Example]:
    """Check examples against the files and the task, and sort them by path.

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
    return sorted(examples, key=lambda example: example.path)
