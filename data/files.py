"""The files of a data set, in a folder or in an unopened ZIP archive."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from data.errors import SourceError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".ppm", ".webp", ".bmp", ".gif", ".avif", ".heic", ".heif"}
# RuntimeError: the archive is encrypted.
_READ_ERRORS = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Files(Protocol):
    """The files in a folder or an archive, by name."""

    location: Path

    def names(self) -> Iterable[str]:
        """Yield the names of all files, relative to the location, with slashes."""

    def folders(self) -> Iterable[str]:
        """Yield the names of all folders, also of empty ones."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""


class Folder:
    """Files in a folder and its subfolders."""

    def __init__(self, location: Path) -> None:
        self.location = location

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        for path in self.location.rglob("*"):
            if path.is_file():
                yield path.relative_to(self.location).as_posix()

    def folders(self) -> Iterator[str]:
        """Yield the names of all folders, also of empty ones."""
        for path in self.location.rglob("*"):
            if path.is_dir():
                yield path.relative_to(self.location).as_posix()

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return (self.location / name).read_bytes()


class ZipArchive:
    """Files in a ZIP archive."""

    def __init__(self, location: Path) -> None:
        self.location = location
        self._archive = zipfile.ZipFile(location)

    def names(self) -> list[str]:
        """Return the names of all members."""
        return self._archive.namelist()

    def folders(self) -> set[str]:
        """Return the names of all folders, also of empty ones, which have a member of their own."""
        paths = (PurePosixPath(name) for name in self._archive.namelist())
        entries = {name.rstrip("/") for name in self._archive.namelist() if name.endswith("/")}
        return entries | {str(parent) for path in paths for parent in path.parents}

    def read(self, name: str) -> bytes:
        """Return the bytes of a member."""
        return self._archive.read(name)


class FolderWithArchives(Folder):
    """A folder whose archives appear as folders with the same names."""

    def __init__(self, location: Path) -> None:
        super().__init__(location)
        self._archives = {path.name: open_files(path) for path in sorted(location.glob("*.zip"))}

    def names(self) -> Iterator[str]:
        """Yield the names of all files, and of all members behind their archive's name."""
        yield from super().names()
        for folder, archive in self._archives.items():
            yield from (f"{folder}/{name}" for name in archive.names())

    def read(self, name: str) -> bytes:
        """Return the bytes of a file or a member."""
        folder, _, member = name.partition("/")
        return self._archives[folder].read(member) if folder in self._archives else super().read(name)


def open_files(location: Path) -> Files:
    """Open a folder or an archive.

    Raises:
        SourceError: it does not exist or cannot be opened.
    """
    if not location.exists():
        raise SourceError(f"{location}: there is no such folder or archive")
    try:
        return Folder(location) if location.is_dir() else ZipArchive(location)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{location}: cannot be opened: {error}") from error


def list_names(files: Files) -> set[PurePosixPath]:
    """Return the names of all files as paths."""
    return {PurePosixPath(name) for name in files.names()}


def read_file(files: Files, name: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        SourceError: it is missing or cannot be read.
    """
    try:
        return files.read(name)
    except _READ_ERRORS as error:
        raise SourceError(f"{files.location}/{name}: cannot be read: {error}") from error


def list_pictures(files: Files) -> list[PurePosixPath]:
    """Return the paths of all pictures, by their suffixes, sorted."""
    # macOS adds files named ._NAME to archives.
    names = sorted(list_names(files))
    return [name for name in names if name.suffix.lower() in _SUFFIXES and not name.name.startswith(".")]


def read_pictures(location: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name (for messages) and the bytes of each picture in a folder or archive, sorted by path.

    Raises:
        SourceError: the location does not exist, has no pictures, or contains an unreadable one.
    """
    files = open_files(location)
    names = list_pictures(files)
    if not names:
        raise SourceError(f"{location}: there are no pictures ({', '.join(sorted(_SUFFIXES))})")
    for name in names:
        yield f"{location}/{name}", read_file(files, str(name))


def unreadable(problems: Sequence[str]) -> SourceError:
    """Return an error that names all pictures that cannot be read, with the reason of each."""
    if len(problems) == 1:
        advice = "repair or remove this picture, or train without it with `init.py --skip-unreadable`"
        return SourceError(f"{problems[0]}; {advice}")
    lines = "".join(f"\n  {problem}" for problem in problems)
    advice = "Repair or remove them, or train without them with `init.py --skip-unreadable`"
    return SourceError(f"{len(problems):,} pictures cannot be read:{lines}\n{advice}")
