"""Find and open data sets, in the layout that a task says: see `data.gtsrb` and `data.class_folders`.

A data set is a folder or an unopened ZIP archive. Evaluation also reads class folders for every task.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from data.class_folders import read_class_folders
from data.errors import SourceError
from data.example import Example
from data.files import Files, FolderWithArchives, open_files, read_file
from data.gtsrb import has_training_tables, read_test_tables, read_training_tables
from data.task import DEFAULT_TASK, Task

STORE = Path(__file__).with_name("store")
DRAWN = "drawn"
FEEDBACK = "feedback"
NONE = "none"  # folder of feedback that shows none of the classes
PHOTOS = "photos"  # folder of the photos that feedback is about a part of; see `data.feedback`

_EXPECTED = {
    "gtsrb": "neither Train.csv with a folder Train next to it, nor the tables GT-CCCCC.csv of the official archive",
    "folders": "no pictures in folders named after their classes",
}


@dataclass(frozen=True)
class Source:
    """The examples of a data set and access to their files.

    Attributes:
        files: the files in the folder or archive.
        origin: `DRAWN` for drawings, the name of the folder or archive for labelled class folders, otherwise the data
            set's name in the task file.
        examples: sorted by path.
        grouped: whether groups identify pictures of a training set, so that held-out ones are recognised.
        notes: what was left out, one sentence each.
    """

    files: Files
    origin: str
    examples: tuple[Example, ...]
    grouped: bool = True
    notes: tuple[str, ...] = ()

    def read(self, example: Example) -> bytes:
        """Return the bytes of an example's file.

        Raises:
            SourceError: the file is missing or cannot be read.
        """
        return read_file(self.files, example.path)

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


def open_source(location: Path, task: Task, *, skip_unreadable: bool = False) -> Source:
    """Open the training set in a folder, in an archive, or in an archive inside the folder.

    Args:
        location: the folder or archive.
        task: determines the layout and the classes.
        skip_unreadable: whether to leave out pictures in class folders that cannot be read; they are in the notes.

    Raises:
        SourceError: the location does not exist, has no training set in the task's layout, contains an unreadable file,
            or lacks examples of a class.
    """
    source = _find_training(location, task, skip_unreadable)
    if source is None:
        raise SourceError(f"{location}: no data set in a known layout ({_EXPECTED[task.data.layout]})")
    return _require_all_classes(source, task)


def open_labelled(location: Path, task: Task) -> Source:
    """Open labelled pictures for an evaluation: a test set or part, else a training set, else class folders.

    They may be in a folder, in an archive, or in archives inside the folder. Classes may lack examples.

    Raises:
        SourceError: the location does not exist, has no labelled pictures in a known layout, contains an unreadable
            file, or has a picture in a folder that is not named after a class.
    """
    files = FolderWithArchives(location) if location.is_dir() else open_files(location)
    source = None
    if task.data.layout == "gtsrb":
        source = _read_test(files, task) or _find_training(location, task)
    source = source or _read_class_folders(files, task, test_part=True) or _read_class_folders(files, task)
    if source is None:
        raise SourceError(
            f"{location}: no labelled pictures in a known layout (neither a table Test.csv, GT-final_test.csv, "
            "Train.csv or GT-CCCCC.csv nor pictures in folders named after their classes)"
        )
    return source


def open_feedback(location: Path, task: Task) -> Source:
    """Open feedback: class folders of pictures that users labelled. Pictures in the folder `NONE` have `NO_CLASS`.

    The folder `PHOTOS` is left out: the labelled parts of its photos are in the class folders.

    Raises:
        SourceError: there is no feedback, a picture cannot be read, or is in a folder that is not named after a class.
    """
    source = None
    if location.is_dir():
        source = _read_class_folders(open_files(location), task, no_class_folder=NONE, ignored_folder=PHOTOS)
    if source is None:
        raise SourceError(f"{location}: there is no feedback; give some on the page or through the service")
    return source


def find_source(task: Task, store: Path = STORE, *, skip_unreadable: bool = False) -> Source:
    """Find the task's data set in the store. Drawings are never picked automatically.

    Class folders are looked for only in `<store>/<task>`, `<store>/<task>.zip` and downloaded archives, since nothing
    else identifies their task.

    Raises:
        SourceError: there is no data set; the message lists ways to get one.
    """
    for candidate in _candidates(task, store):
        source = _read_training(open_files(candidate), task, skip_unreadable)
        if source is not None and source.origin != DRAWN:
            return _require_all_classes(source, task)
    name = f" --task {task.name}" if task.name != DEFAULT_TASK else ""
    where = f"; {task.data.name} is at {task.data.page}" if task.data.page else ""
    ways = [f"  python init.py{name} --data PATH    uses your own folder or archive{where}"]
    if task.data.archives:
        ways.insert(0, f"  python init.py{name} --download     downloads {task.data.name}")
    if task.load_extension():
        ways.append(f"  python init.py{name} --data drawn   trains on drawings; fine for a demo, not for real photos")
    raise SourceError(
        f"no data set for {task.title} was found in {store}. Ways to get one:\n"
        + "\n".join(ways)
        + "\nTo train although there is a classifier, add --retrain; the result replaces it"
    )


def has_data(task: Task, store: Path = STORE) -> bool:
    """Say whether `find_source` would find a data set, complete or not, without reading tables or pictures.

    Raises:
        SourceError: an archive cannot be read.
    """
    candidates = _candidates(task, store)
    return any(task.data.layout == "folders" or has_training_tables(open_files(path)) for path in candidates)


def _candidates(task: Task, store: Path) -> list[Path]:
    """Return the folders and archives in the store that may be the task's data set."""
    if task.data.layout == "folders":
        names = [PurePosixPath(archive.url).name for archive in task.data.archives]
        return [store / name for name in (task.name, f"{task.name}.zip", *names) if (store / name).exists()]
    candidates = sorted(path for path in store.iterdir() if _may_contain_data(path)) if store.is_dir() else []
    return [store, *candidates] if (store / "Train.csv").is_file() else candidates


def _may_contain_data(path: Path) -> bool:
    return path.suffix == ".zip" or (path.is_dir() and path.name not in {DRAWN, FEEDBACK, "cache", "training"})


def describe_gaps(source: Source, task: Task) -> list[str]:
    """Describe how a source differs from the complete data set, and what was left out, one sentence each."""
    found, expected = len(source.examples), task.data.examples
    sentences = [*source.notes]
    if source.origin != DRAWN and expected and found != expected:
        sentences.append(
            f"{source.files.location} has {found:,} training images; the complete data set has {expected:,}"
        )
    return sentences


def _find_training(location: Path, task: Task, skip_unreadable: bool = False) -> Source | None:
    """Return the training set in a folder, an archive, or an archive inside the folder; None if there is none.

    Photos take precedence over drawings.
    """
    archives = sorted(location.glob("*.zip")) if location.is_dir() else []
    drawn = None
    for candidate in [location, *archives]:
        source = _read_training(open_files(candidate), task, skip_unreadable)
        if source is not None and source.origin != DRAWN:
            return source
        drawn = drawn or source
    return drawn


def _read_training(files: Files, task: Task, skip_unreadable: bool = False) -> Source | None:
    """Return the training set in a folder or archive; None if nothing there has the task's layout."""
    if task.data.layout == "folders":
        read = read_class_folders(files, task, skip_unreadable=skip_unreadable)
        return Source(files, task.data.name, read.examples, notes=read.notes) if read.examples else None
    tables = read_training_tables(files, task)
    if tables is None:
        return None
    listed, drawn = tables
    return Source(files, DRAWN if drawn else task.data.name, tuple(listed))


def _read_test(files: Files, task: Task) -> Source | None:
    examples = read_test_tables(files, task)
    return None if examples is None else Source(files, task.data.name, tuple(examples), grouped=False)


def _read_class_folders(
    files: Files,
    task: Task,
    *,
    test_part: bool = False,
    no_class_folder: str | None = None,
    ignored_folder: str | None = None,
) -> Source | None:
    """Return labelled pictures that may be of another data set; None if there are none."""
    read = read_class_folders(
        files, task, test_part=test_part, no_class_folder=no_class_folder, ignored_folder=ignored_folder
    )
    name = files.location.resolve().name
    return Source(files, name, read.examples, grouped=False, notes=read.notes) if read.examples else None


def _require_all_classes(source: Source, task: Task) -> Source:
    """Return the source if it has examples of every class.

    Raises:
        SourceError: a class has no examples.
    """
    found = {example.class_index for example in source.examples}
    missing = [f"{label.index} ({label.name})" for label in task.labels if label.index not in found]
    if missing:
        advice = "; put pictures of it into a folder with its name" if task.data.layout == "folders" else ""
        raise SourceError(f"{source.files.location}: no examples of class {', '.join(missing)}{advice}")
    return source
