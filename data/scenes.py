"""Scenes: whole photos with a box around each sign, from which a detector is trained.

Two layouts are read, from a folder or from an unopened archive:

official    gt.txt (NNNNN.ppm;left;top;right;bottom;class, right and bottom inclusive) and NNNNN.ppm
JSON        gt.json ({"NNNNN": [{"left", "top", "right", "bottom", "objectId"}, …]}, all integers) and images/NNNNN.jpg;
            right and bottom inclusive

NNNNN is the number of the scene. Scenes without a sign of the task's classes have no entry.
"""

import csv
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data.errors import ImageError, SourceError
from data.files import Files, list_names, list_pictures, open_files, read_file
from data.images import DECODER_VERSION, Box, Indices, Picture, Pixels, decode, lies_inside, read_size
from data.photo import Photo
from data.prepare import ShowProgress
from data.task import SceneSet, Task

OFFICIAL_TABLE, JSON_TABLE = "gt.txt", "gt.json"
_NUMBER = re.compile(r"\d{1,5}")


@dataclass(frozen=True)
class Scene:
    """One labelled scene.

    Attributes:
        path: path of the file, relative to the source.
        group: name of the scenes that a split must keep together with this one.
        boxes: one box per sign, in pixels.
        class_index: class of each box.
    """

    path: str
    group: str
    boxes: tuple[Box, ...]
    class_index: tuple[int, ...]


@dataclass(frozen=True)
class SceneSource:
    """The scenes of a data set and access to their files.

    Attributes:
        files: the files in the folder or archive.
        scenes: sorted by number.
    """

    files: Files
    scenes: tuple[Scene, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over boxes, classes and bytes of all scenes; hexadecimal.

        Raises:
            SourceError: a file is missing or cannot be read.
        """
        digest = hashlib.sha256()
        for scene in self.scenes:
            content = hashlib.sha256(read_file(self.files, scene.path)).hexdigest()
            digest.update(f"{scene.group} {scene.boxes} {scene.class_index} {content}\n".encode())
        return digest.hexdigest()

    def select_fold(self, fold: int, folds: int) -> Indices:
        """Return the indices of the scenes in a fold: the groups are dealt to the folds in turn.

        Args:
            fold: the fold, from 0 on.
            folds: number of folds.
        """
        groups = np.array([scene.group for scene in self.scenes])
        return np.flatnonzero(np.isin(groups, np.unique(groups)[fold::folds]))

    def decode_photo(self, row: int, max_pixels: int) -> Photo:
        """Decode one scene, as a photo is decoded for recognition; see `data.images.Picture.decode_photo`.

        Raises:
            SourceError: the file is missing, cannot be read or decoded, or is too small for a box.
        """
        scene = self.scenes[row]
        name = f"{self.files.location}/{scene.path}"
        try:
            photo = Picture(read_file(self.files, scene.path)).decode_photo(max_pixels)
        except ImageError as error:
            raise SourceError(f"{name}: {error}") from error
        _check_inside(scene, (photo.height, photo.width), name)
        return photo

    def decode(self, cache: Path, show_progress: ShowProgress[Pixels] = lambda items, _total: items) -> Pixels:
        """Decode all scenes, or map them from the cache into memory.

        Returns:
            Shape (n, height, width, 3), uint8, read-only.

        Raises:
            SourceError: a file cannot be read or decoded, the scenes differ in size, or a box is not inside its scene.
        """
        path = cache / f"scenes-{self.fingerprint[:16]}-decoder{DECODER_VERSION}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                self._write(Path(folder, path.name), show_progress)
                Path(folder, path.name).rename(path)
        pixels: Pixels = np.load(path, mmap_mode="r")
        return pixels

    def _write(self, path: Path, show_progress: ShowProgress[Pixels]) -> None:
        size = read_size(read_file(self.files, self.scenes[0].path))
        pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (len(self.scenes), *size, 3))

        def decode_scene(scene: Scene) -> Pixels:
            name = f"{self.files.location}/{scene.path}"
            payload = read_file(self.files, scene.path)
            try:
                if read_size(payload) != size:
                    raise SourceError(f"{name}: all scenes must have the same size, {size[1]} × {size[0]} pixels")
                _check_inside(scene, size, name)
                return decode(payload, size)
            except ImageError as error:
                raise SourceError(f"{name}: {error}") from error

        for row, decoded in enumerate(show_progress(map(decode_scene, self.scenes), len(self.scenes))):
            pixels[row] = decoded
        pixels.flush()


def open_scenes(location: Path, task: Task) -> SceneSource:
    """Open the scenes in a folder or archive, without those that belong to the official test part.

    Raises:
        SourceError: the location does not exist, has no scenes in a known layout, or contains a damaged table.
    """
    source = _read_scenes(open_files(location), task)
    if source is None:
        raise SourceError(f"{location}: no scenes ({OFFICIAL_TABLE} or {JSON_TABLE}, with the pictures that it lists)")
    return source


def find_scenes(task: Task, store: Path) -> SceneSource | None:
    """Find the task's scenes in the store; None if there are none."""
    if task.scenes is None or not store.is_dir():
        return None
    names = [PurePosixPath(archive.url).name for archive in task.scenes.archives]
    folders = sorted(path for path in store.iterdir() if path.is_dir() and (path / JSON_TABLE).exists())
    official = sorted(path.parent for path in store.glob(f"*/{OFFICIAL_TABLE}"))
    for candidate in [*(store / name for name in names if (store / name).exists()), *folders, *official]:
        if source := _read_scenes(open_files(candidate), task):
            return source
    return None


def _read_scenes(files: Files, task: Task) -> SceneSource | None:
    """Return the scenes in a folder or archive; None if there is no table or no picture.

    Raises:
        SourceError: the task has no scenes, or a table is damaged.
    """
    if task.scenes is None:
        raise SourceError(f"the task {task.name} has no scenes")
    tables = sorted(name for name in list_names(files) if name.name in {OFFICIAL_TABLE, JSON_TABLE})
    if not tables:
        return None
    table = min(tables, key=lambda name: len(name.parts))
    labelled = _read_official(files, table) if table.name == OFFICIAL_TABLE else _read_json(files, table)
    folders = {table.parent, table.parent / "images"}
    pictures: dict[int, PurePosixPath] = {}
    for path in list_pictures(files):
        if path.parent in folders and _is_number(path):
            number = int(path.stem)
            if number in pictures:
                both = f"{pictures[number]} and {path}"
                raise SourceError(f"{files.location}: scene {number} is there twice, {both}; remove one of them")
            pictures[number] = path
    _check(files, table, task, labelled, pictures)
    scenes = [_scene(number, path, labelled, task.scenes) for number, path in sorted(pictures.items())
              if number < task.scenes.count]  # fmt: skip
    return SceneSource(files, tuple(scenes)) if scenes else None


def _scene(
    number: int, path: PurePosixPath, labelled: Mapping[int, list[tuple[Box, int]]], settings: SceneSet
) -> Scene:
    signs = labelled.get(number, [])
    group = f"{number // settings.group_size:03d}"
    return Scene(str(path), group, tuple(box for box, _ in signs), tuple(index for _, index in signs))


def _is_number(path: PurePosixPath) -> bool:
    return _NUMBER.fullmatch(path.stem) is not None


def _read_official(files: Files, table: PurePosixPath) -> dict[int, list[tuple[Box, int]]]:
    signs: dict[int, list[tuple[Box, int]]] = {}
    try:
        text = read_file(files, str(table)).decode("utf-8-sig")
        for line, row in enumerate(csv.reader(io.StringIO(text), delimiter=";"), start=1):
            if not any(row):
                continue
            try:
                left, top, right, bottom, class_index = map(int, row[1:])
                number = int(PurePosixPath(row[0]).stem)
            except ValueError as error:
                raise SourceError(
                    f"{files.location}/{table}, line {line}: not NAME;left;top;right;bottom;class"
                ) from error
            signs.setdefault(number, []).append(((left, top, right + 1, bottom + 1), class_index))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{files.location}/{table}: {error}") from error
    return signs


def _read_json(files: Files, table: PurePosixPath) -> dict[int, list[tuple[Box, int]]]:
    name = f"{files.location}/{table}"
    labelled: dict[int, list[tuple[Box, int]]] = {}
    try:
        for key, signs in json.loads(read_file(files, str(table)), object_pairs_hook=_without_duplicates).items():
            number = int(key)
            if number in labelled:
                raise SourceError(f"{name}: scene {number} is there twice; put all of its signs under one key")
            labelled[number] = [_read_sign(sign) for sign in signs]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SourceError(f"{name}: {type(error).__name__}: {error}") from error
    return labelled


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; `json` would silently keep the last of several members of one name."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return table


def _read_sign(sign: Mapping[str, Any]) -> tuple[Box, int]:
    left, top, right, bottom, class_index = (sign[key] for key in ("left", "top", "right", "bottom", "objectId"))
    if any(type(value) is not int for value in (left, top, right, bottom, class_index)):
        raise ValueError(f"not all values are integers: {dict(sign)}")
    return (left, top, right + 1, bottom + 1), class_index


def _check(
    files: Files,
    table: PurePosixPath,
    task: Task,
    labelled: Mapping[int, list[tuple[Box, int]]],
    pictures: Mapping[int, PurePosixPath],
) -> None:
    for number, signs in labelled.items():
        if number not in pictures:
            raise SourceError(f"{files.location}/{table}: the picture of scene {number} is missing")
        for box, class_index in signs:
            if not 0 <= class_index < len(task.labels):
                raise SourceError(f"{files.location}/{table}: scene {number}: there is no class {class_index}")
            left, top, right, bottom = box
            if left >= right or top >= bottom:
                raise SourceError(f"{files.location}/{table}: scene {number}: the box {box} is empty")


def _check_inside(scene: Scene, size: tuple[int, int], name: str) -> None:
    """Check that all boxes of a scene lie inside its picture of this (height, width) and name.

    Raises:
        SourceError: one does not.
    """
    for box in scene.boxes:
        if not lies_inside(box, size):
            raise SourceError(f"{name}: the labelled box {box} is not inside its {size[1]} × {size[0]} pixels")
