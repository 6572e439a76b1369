"""Statistics of a data set: classes, sizes, tracks, margins, brightness and duplicates.

Values are per example (in the order of `Source.examples`), per class or per track. Callers draw the figures.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import ImageError, SourceError
from data.example import Example
from data.images import Indices, Pixels, decode
from data.pictures import digest
from data.prepare import ShowProgress
from data.source import Source
from data.task import Task

LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B; ITU-R BT.601, section 2.5.1
_CHUNK_SIZE = 1024  # pictures decoded at a time, so that progress is visible and memory use stays low

_Measurement = tuple[bytes, float]  # digest and brightness of a picture


@dataclass(frozen=True)
class ClassCounts:
    """Sizes of the classes.

    Attributes:
        examples: number of examples per class, shape (classes,), int64.
        tracks: number of tracks per class, shape (classes,), int64.
    """

    examples: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]

    @property
    def imbalance(self) -> float:
        """Size of the largest class as a multiple of the smallest, in examples."""
        return float(self.examples.max() / self.examples.min())

    def share_of_largest(self, count: int) -> float:
        """Return the share of all examples that belong to the `count` largest classes, in (0, 1]."""
        return float(np.sort(self.examples)[::-1][:count].sum() / self.examples.sum())


@dataclass(frozen=True)
class Tracks:
    """The tracks of a source, sorted by group.

    Attributes:
        groups: shape (tracks,), str.
        class_index: shape (tracks,), int64.
        frames: number of pictures, shape (tracks,), int64.
        sides: longer side of the box in each frame, in pixels, shape (tracks, frames of the longest track), float32;
            NaN after the last frame of a track.
    """

    groups: npt.NDArray[np.str_]
    class_index: Indices
    frames: npt.NDArray[np.int64]
    sides: npt.NDArray[np.float32]

    @property
    def growth(self) -> npt.NDArray[np.float32]:
        """Ratio of the side in the last frame to the side in the first, shape (tracks,)."""
        last = self.sides[np.arange(len(self.frames)), self.frames - 1]
        ratio: npt.NDArray[np.float32] = last / self.sides[:, 0]
        return ratio


@dataclass(frozen=True)
class Contents:
    """Statistics of the pixels of a source.

    Attributes:
        brightness: mean luma inside the region of interest, shape (n,), float32 in [0, 255].
        digests: SHA-256 over size and pixels, shape (n,), bytes; equal for pictures with the same size and pixels.
    """

    brightness: npt.NDArray[np.float32]
    digests: npt.NDArray[np.bytes_]


@dataclass(frozen=True)
class Duplicates:
    """Pixel-identical pictures.

    Attributes:
        examples: two or more examples, sorted by path.
    """

    examples: tuple[Example, ...]

    @property
    def across_tracks(self) -> bool:
        """Whether they belong to several tracks, so that a split by track may separate them."""
        return len({example.group for example in self.examples}) > 1

    @property
    def across_classes(self) -> bool:
        """Whether they belong to several classes, so that their labels contradict each other."""
        return len({example.class_index for example in self.examples}) > 1


def count_classes(source: Source, task: Task) -> ClassCounts:
    """Count the examples and the tracks of every class of a task."""
    tracks = {(example.group, example.class_index) for example in source.examples}
    return ClassCounts(
        examples=np.bincount(list_classes(source), minlength=len(task.labels)),
        tracks=np.bincount([class_index for _, class_index in tracks], minlength=len(task.labels)),
    )


def list_classes(source: Source) -> Indices:
    """Return the class index of each example, shape (n,)."""
    return np.array([example.class_index for example in source.examples], dtype=np.int64)


def measure_sizes(source: Source) -> npt.NDArray[np.int64]:
    """Return (height, width) of each picture in pixels, as given in the tables; shape (n, 2)."""
    return np.array([example.size for example in source.examples], dtype=np.int64).reshape(-1, 2)


def measure_boxes(source: Source) -> npt.NDArray[np.int64]:
    """Return (height, width) of each region of interest in pixels; shape (n, 2)."""
    boxes = [(e.box[3] - e.box[1], e.box[2] - e.box[0]) for e in source.examples]
    return np.array(boxes, dtype=np.int64).reshape(-1, 2)


def measure_margins(source: Source) -> npt.NDArray[np.int64]:
    """Return the margins left of, above, right of and below each region of interest in pixels; shape (n, 4)."""
    margins = [
        (left, top, width - right, height - bottom)
        for (height, width), (left, top, right, bottom) in ((e.size, e.box) for e in source.examples)
    ]
    return np.array(margins, dtype=np.int64).reshape(-1, 4)


def find_tracks(source: Source) -> Tracks:
    """Return the tracks of a source and the size of the object in each frame."""
    members = _by_group(source.examples)
    frames = np.array([len(examples) for examples in members.values()], dtype=np.int64)
    sides = np.full((len(members), frames.max(initial=0)), np.nan, np.float32)
    for row, examples in enumerate(members.values()):
        sides[row, : len(examples)] = [max(e.box[2] - e.box[0], e.box[3] - e.box[1]) for e in examples]
    return Tracks(
        groups=np.array(list(members), dtype=np.str_),
        class_index=np.array([examples[0].class_index for examples in members.values()], dtype=np.int64),
        frames=frames,
        sides=sides,
    )


def read_contents(source: Source, show_progress: ShowProgress[_Measurement] = lambda items, _total: items) -> Contents:
    """Decode every picture at its original size and measure its pixels; about 4,000 pictures per second on two cores.

    Args:
        source: the examples.
        show_progress: shows a progress bar.

    Raises:
        SourceError: a file cannot be read or is not a picture; the message names it.
    """

    def measure(example: Example) -> _Measurement:
        pixels = _decode(source, example, example.size)
        left, top, right, bottom = example.box
        mean = pixels[top:bottom, left:right].mean(axis=(0, 1))
        # Hexadecimal, because NumPy strips trailing zero bytes from byte strings.
        return digest(pixels).hex().encode(), float(mean @ LUMA)

    count = len(source.examples)
    measured = list(show_progress(_in_parallel(measure, source.examples), count))
    return Contents(
        brightness=np.array([brightness for _, brightness in measured], np.float32),
        digests=np.array([digest for digest, _ in measured], dtype="S64"),
    )


def share_between_tracks(source: Source, values: npt.NDArray[np.float32]) -> float:
    """Return the correlation ratio η²: the share of a quantity's variance that lies between tracks, in [0, 1].

    It is 1 if all frames of a track have the same value, and about 0.03 for random values and 30 frames per track.

    Args:
        source: the examples.
        values: one value per example, not all equal; shape (n,).

    Raises:
        ValueError: the number of values differs from the number of examples.
    """
    if len(values) != len(source.examples):
        raise ValueError(f"expected {len(source.examples)} values, one per example, but got {len(values)}")
    _, track = np.unique([example.group for example in source.examples], return_inverse=True)
    means = np.bincount(track, values) / np.bincount(track)
    return float(means[track].var() / values.var(dtype=np.float64))


def find_duplicates(source: Source, contents: Contents) -> tuple[Duplicates, ...]:
    """Return the sets of pixel-identical pictures of a source, sorted by the first path of each set.

    Raises:
        ValueError: the contents belong to another source.
    """
    same: defaultdict[bytes, list[Example]] = defaultdict(list)
    for example, key in zip(source.examples, contents.digests.tolist(), strict=True):
        same[key].append(example)
    return tuple(Duplicates(tuple(examples)) for examples in same.values() if len(examples) > 1)


def decode_examples(source: Source, examples: Iterable[Example], side: int) -> Pixels:
    """Decode examples to squares for a contact sheet.

    Returns:
        Shape (n, side, side, 3), uint8 in [0, 255].

    Raises:
        SourceError: a file cannot be read or is not a picture; the message names it.
    """
    decoded = [_decode(source, example, (side, side)) for example in examples]
    return np.stack(decoded) if decoded else np.empty((0, side, side, 3), np.uint8)


def mean_pictures(source: Source, task: Task, side: int, most: int) -> Pixels:
    """Return the mean picture of each class, of one picture of each group.

    Args:
        source: the examples.
        task: the task.
        side: of the mean pictures in pixels.
        most: largest number of pictures of a class that are used, evenly spaced.

    Returns:
        Shape (classes, side, side, 3), uint8 in [0, 255]; white for a class without pictures.

    Raises:
        SourceError: a file cannot be read or is not a picture; the message names it.
    """
    means = np.full((len(task.labels), side, side, 3), 255, np.uint8)
    for label in task.labels:
        if examples := choose_one_per_track(source, label.index, most):
            means[label.index] = decode_examples(source, examples, side).mean(axis=0).round()
    return means


def choose_one_per_track(source: Source, class_index: int, count: int | None = None) -> tuple[Example, ...]:
    """Return the last frame, which is the closest, of each track of a class, sorted by track.

    Args:
        source: the examples.
        class_index: the class.
        count: maximum number of tracks, evenly spaced; None for all.
    """
    tracks = _by_group(example for example in source.examples if example.class_index == class_index)
    last = tuple(frames[-1] for frames in tracks.values())
    return last if count is None else tuple(last[row] for row in _spread_indices(len(last), count))


def choose_by_brightness(source: Source, contents: Contents, count: int) -> tuple[tuple[Example, float], ...]:
    """Return up to `count` examples with their brightness, evenly spaced by rank from the darkest to the brightest.

    Raises:
        ValueError: the contents belong to another source.
    """
    if len(contents.brightness) != len(source.examples):
        raise ValueError(f"expected contents of {len(source.examples)} examples, but got {len(contents.brightness)}")
    order = np.argsort(contents.brightness, kind="stable")
    return tuple(
        (source.examples[row], float(contents.brightness[row])) for row in order[_spread_indices(len(order), count)]
    )


def choose_frames(source: Source, group: str, count: int) -> tuple[Example, ...]:
    """Return up to `count` frames of a track, evenly spaced from the first to the last.

    Raises:
        KeyError: the track does not exist.
    """
    frames = _by_group(source.examples)[group]
    return tuple(frames[row] for row in _spread_indices(len(frames), count))


def _spread_indices(length: int, count: int) -> Indices:
    """Return up to `count` distinct indices below `length`, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))


def _by_group(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return the examples of each group, sorted by group and frame."""
    members: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:  # already sorted by path, and thus by frame within a track
        members[example.group].append(example)
    return dict(sorted(members.items()))


def _decode(source: Source, example: Example, size: tuple[int, int]) -> Pixels:
    try:
        return decode(source.read(example), size)
    except ImageError as error:
        raise SourceError(f"{source.name_of(example)}: {error}") from error


def _in_parallel(measure: Callable[[Example], _Measurement], examples: tuple[Example, ...]) -> Iterator[_Measurement]:
    with ThreadPoolExecutor() as pool:  # Pillow releases the GIL while it decodes
        for start in range(0, len(examples), _CHUNK_SIZE):
            yield from pool.map(measure, examples[start : start + _CHUNK_SIZE])
