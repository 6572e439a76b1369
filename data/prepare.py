"""Decode all pictures of a source once, into arrays that are cached on disk."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from data.duplicates import VERSION, DuplicateReport, Links, find_links, merge_groups
from data.errors import BoxError, ImageError, SourceError
from data.example import Example, full_box
from data.files import unreadable
from data.images import DECODER_VERSION, Boxes, Indices, Pixels, decode
from data.pictures import Pictures
from data.source import Source
from data.task import Task

BATCH = 256  # pictures decoded at a time
Item = TypeVar("Item")
# Takes items and their number; yields the same items while it shows a progress bar.
ShowProgress = Callable[[Iterable[Item], int], Iterable[Item]]


@dataclass(frozen=True)
class Prepared:
    """Decoded examples.

    Attributes:
        pixels: n pictures, on disk.
        boxes: left, top, right, bottom of each region of interest as fractions of the picture; shape (n, 4), float32.
        class_index: shape (n,), int64.
        groups: shape (n,), str.
        origin, fingerprint, grouped: see `data.source.Source`.
        outliers: pictures that show none of the classes, shape (m, height, width, 3), uint8 in [0, 255]; None if there
            are none.
        duplicates: pictures that are there twice, whose groups are merged; None if they were not looked for.
    """

    pixels: Pictures
    boxes: Boxes
    class_index: Indices
    groups: npt.NDArray[np.str_]
    origin: str
    fingerprint: str
    grouped: bool
    outliers: Pixels | None = None
    duplicates: DuplicateReport | None = None

    def __len__(self) -> int:
        return len(self.class_index)

    def subset(self, rows: Indices) -> "Prepared":
        """Return the examples at these indices, shape (m,). Outliers are kept unchanged."""
        return replace(
            self,
            pixels=self.pixels.select(rows),
            boxes=self.boxes[rows],
            class_index=self.class_index[rows],
            groups=self.groups[rows],
        )


def prepare(
    source: Source,
    task: Task,
    cache: Path,
    show_progress: ShowProgress[Pixels] = lambda items, _total: items,
    roi: bool = False,
) -> Prepared:
    """Decode a source, or load it from the cache, without the groups that the task excludes.

    If the task says so, pictures that are there twice are looked for, and get one group.

    Args:
        source: examples to decode.
        task: gives the input size and the excluded groups.
        cache: folder of the cache, which is keyed by the fingerprint of the data, the input size, the decoder's version
            and `roi`.
        show_progress: shows a progress bar while pictures are decoded.
        roi: whether to crop each picture to its region of interest, at full resolution, before it is resized. The boxes
            of the result then cover the whole pictures.

    Raises:
        SourceError: files cannot be read, are not pictures, or (with `roi`) do not contain their boxes; the message
            names all of them, and nothing is cached.
    """
    height, width = task.input_size
    name = f"{source.fingerprint[:16]}-{height}x{width}-decoder{DECODER_VERSION}"
    folder = cache / (f"{name}-roi" if roi else name)
    if not folder.is_dir():
        _fill_cache(source, task.input_size, roi, folder, show_progress)
    pixels: Pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    paths = [example.path for example in source.examples]
    names = [example.group for example in source.examples]
    classes = np.array([example.class_index for example in source.examples], dtype=np.int64)
    duplicates = None
    if task.data.duplicates:
        names, duplicates = merge_groups(_load_links(folder, pixels, names), names, classes, paths)
    groups = np.array(names)
    kept = np.flatnonzero(~np.isin(groups, sorted(task.data.excluded_groups)))
    boxes = [(0, 0, 1, 1) if roi else _fractions(example) for example in source.examples]
    return Prepared(
        pixels=Pictures(pixels).select(kept),
        boxes=np.array(boxes, np.float32)[kept],
        class_index=classes[kept],
        groups=groups[kept],
        origin=source.origin,
        fingerprint=source.fingerprint,
        grouped=source.grouped,
        duplicates=duplicates,
    )


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a .npy file. Unlike `numpy.save`, this reports why a write failed, such as a full disk."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def _fill_cache(
    source: Source, size: tuple[int, int], roi: bool, folder: Path, show_progress: ShowProgress[Pixels]
) -> None:
    problems: dict[str, str] = {}  # by path

    def decode_example(example: Example) -> Pixels:
        try:
            # Omit a box that covers the whole picture: without a box, large JPEGs decode faster.
            box = example.box if roi and example.box != full_box(example.size) else None
            return decode(source.read(example), size, box)
        except (ImageError, BoxError) as error:
            problems[example.path] = f"{source.name_of(example)}: {error}"
        except SourceError as error:
            problems[example.path] = str(error)
        return np.empty((*size, 3), np.uint8)

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        count = len(source.examples)
        with (
            (temporary / "pixels.npy").open("wb") as file,  # picture by picture, since all may not fit into memory
            ThreadPoolExecutor() as pool,  # Pillow releases the GIL while it decodes and resizes
        ):
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, *size, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for decoded in show_progress(_map(pool, decode_example, source.examples), count):
                file.write(np.ascontiguousarray(decoded).data)
        if problems:
            raise unreadable([reason for _, reason in sorted(problems.items())])
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def _map(
    pool: ThreadPoolExecutor, decode_example: Callable[[Example], Pixels], examples: Sequence[Example]
) -> Iterator[Pixels]:
    """Like `pool.map`, but a batch at a time: that of the pool keeps every result until it is asked for."""
    for start in range(0, len(examples), BATCH):
        yield from pool.map(decode_example, examples[start : start + BATCH])


def _load_links(folder: Path, pixels: Pixels, groups: list[str]) -> Links:
    """Return the links between pictures that are there twice, from the cache if it has them."""
    path = folder / f"duplicates{VERSION}.npy"
    if not path.exists():
        temporary = path.with_suffix(".new")
        save_array(temporary, find_links(pixels, groups))
        temporary.rename(path)
    links: Links = np.load(path)
    return links


def _fractions(example: Example) -> tuple[float, float, float, float]:
    """Return the box of an example as fractions of its picture."""
    height, width = example.size
    left, top, right, bottom = example.box
    return left / width, top / height, right / width, bottom / height
