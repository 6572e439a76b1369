"""From files to arrays: every picture of a source decoded once and cached."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.errors import BoxError, ImageError, SourceError
from data.images import DECODER_VERSION, decode
from data.source import Example, Source, whole_box
from data.task import Task

Decoded = npt.NDArray[np.uint8]
Progress = Callable[[Iterable[Decoded], int], Iterable[Decoded]]


@dataclass(frozen=True)
class Prepared:
    """Decoded examples.

    `pixels` has shape (n, height, width, 3), uint8 in [0, 255]; `boxes` (n, 4), float32: left, top, right, bottom
    of the region of interest as fractions of the picture; `class_index` (n,), int64; `groups` (n,), str.
    `origin`, `fingerprint` and `grouped` are those of the `Source`. `outliers` are further pictures, as `pixels`, that
    are none of the classes; None if there are none.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    class_index: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]
    origin: str
    fingerprint: str
    grouped: bool
    outliers: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.class_index)

    def subset(self, rows: npt.NDArray[np.int64]) -> "Prepared":
        """Return some of the examples, by their indices."""
        return replace(
            self,
            pixels=self.pixels[rows],
            boxes=self.boxes[rows],
            class_index=self.class_index[rows],
            groups=self.groups[rows],
        )


def prepare(
    source: Source,
    task: Task,
    cache: Path,
    progress: Progress = lambda items, _total: items,
    roi: bool = False,
) -> Prepared:
    """Decode a source, or load what an earlier call left in the cache.

    The cache is keyed by the fingerprint of the data, the input size, the decoder's version and `roi`. `progress`
    may wrap the work to show a bar. Groups that the task excludes are left out. With `roi`, each picture is cropped
    to its box at its own resolution before it is resized, and the boxes of the result are the whole pictures.

    Raises:
        SourceError: a file cannot be read, is no picture, or is smaller than its box (with `roi`); the message names
            it. Nothing is cached then.
    """
    height, width = task.input_size
    name = f"{source.fingerprint[:16]}-{height}x{width}-decoder{DECODER_VERSION}"
    folder = cache / (f"{name}-roi" if roi else name)
    if not folder.is_dir():
        _write(source, task.input_size, roi, folder, progress)
    pixels: npt.NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
    groups = np.array([example.group for example in source.examples])
    kept = np.flatnonzero(~np.isin(groups, sorted(task.data.excluded_groups)))
    boxes = [(0, 0, 1, 1) if roi else _fractions(example) for example in source.examples]
    return Prepared(
        pixels=pixels[kept],
        boxes=np.array(boxes, np.float32)[kept],
        class_index=np.array([example.class_index for example in source.examples], dtype=np.int64)[kept],
        groups=groups[kept],
        origin=source.origin,
        fingerprint=source.fingerprint,
        grouped=source.grouped,
    )


def _write(source: Source, size: tuple[int, int], roi: bool, folder: Path, progress: Progress) -> None:
    def work(example: Example) -> Decoded:
        try:
            # A box that is the whole picture cuts nothing off; without it a large JPEG decodes faster.
            box = example.box if roi and example.box != whole_box(example.size) else None
            return decode(source.read(example), size, box)
        except (ImageError, BoxError) as error:
            raise SourceError(f"{source.name_of(example)}: {error}") from error

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        pixels = np.empty((len(source.examples), *size, 3), np.uint8)
        with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without holding the interpreter lock
            for row, decoded in enumerate(progress(pool.map(work, source.examples), len(source.examples))):
                pixels[row] = decoded
        _save(temporary / "pixels.npy", pixels)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def _save(path: Path, pixels: Decoded) -> None:
    """Write what `numpy.load` reads; `numpy.save` would not say why a disk takes no more."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(pixels))
        file.write(pixels.data)


def _fractions(example: Example) -> tuple[float, float, float, float]:
    height, width = example.size
    left, top, right, bottom = example.box
    return left / width, top / height, right / width, bottom / height
