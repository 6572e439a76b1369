"""What a data set looks like in numbers: classes, sizes, tracks, margins, brightness, duplicates.

Everything is per example in the order of `Source.examples`, or per class or track; drawing is left to the caller.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.errors import ImageError, SourceError
from data.images import decode
from data.source import Example, Source
from data.task import Task

LUMA = (0.299, 0.587, 0.114)  # weights of R, G, B: ITU-R BT.601, 2.5.1
_CHUNK = 1024  # pictures decoded at a time, so that progress can be shown and few wait in memory

Pixels = npt.NDArray[np.uint8]
Measured = tuple[bytes, float]
Progress = Callable[[Iterable[Measured], int], Iterable[Measured]]


@dataclass(frozen=True)
class ClassCounts:
    """Examples and tracks of each class, both of shape (classes,), int64."""

    examples: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]

    @property
    def imbalance(self) -> float:
        """Examples of the largest class for one of the smallest."""
        return float(self.examples.max() / self.examples.min())

    def share_of_largest(self, count: int) -> float:
        """Return the share of all examples that are of the `count` largest classes, in (0, 1]."""
        return float(np.sort(self.examples)[::-1][:count].sum() / self.examples.sum())


@dataclass(frozen=True)
class Tracks:
    """The tracks of a source, sorted by their names.

    `groups` has shape (tracks,), str; `class_index` (tracks,), int64; `frames` (tracks,), int64, is the number of
    pictures; `sides` (tracks, longest track), float32, is the longer side of the sign's box in pixels, frame by
    frame, and NaN behind a track's last frame.
    """

    groups: npt.NDArray[np.str_]
    class_index: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    sides: npt.NDArray[np.float32]

    @property
    def growth(self) -> npt.NDArray[np.float32]:
        """How many times larger a sign is in its track's last frame than in the first, shape (tracks,)."""
        last = self.sides[np.arange(len(self.frames)), self.frames - 1]
        ratio: npt.NDArray[np.float32] = last / self.sides[:, 0]
        return ratio


@dataclass(frozen=True)
class Contents:
    """What the pixels of a source say.

    `brightness` has shape (n,), float32 in [0, 255]: the mean luma inside the region of interest. `digests` has
    shape (n,), bytes: equal where two pictures have the same size and the same pixels.
    """

    brightness: npt.NDArray[np.float32]
    digests: npt.NDArray[np.bytes_]


@dataclass(frozen=True)
class Duplicates:
    """Pictures that are pixel for pixel the same, two at least, sorted by path."""

    examples: tuple[Example, ...]

    @property
    def across_tracks(self) -> bool:
        """Whether a split by track can put one of them into training and another into validation."""
        return len({example.group for example in self.examples}) > 1

    @property
    def across_classes(self) -> bool:
        """Whether they contradict each other."""
        return len({example.class_index for example in self.examples}) > 1


def count_classes(source: Source, task: Task) -> ClassCounts:
    """Count the examples and the tracks of every class of a task."""
    tracks = {(example.group, example.class_index) for example in source.examples}
    return ClassCounts(
        examples=np.bincount(list_classes(source), minlength=len(task.labels)),
        tracks=np.bincount([class_index for _, class_index in tracks], minlength=len(task.labels)),
    )


def list_classes(source: Source) -> npt.NDArray[np.int64]:
    """Return the class index of each picture, shape (n,)."""
    return np.array([example.class_index for example in source.examples], dtype=np.int64)


def measure_sizes(source: Source) -> npt.NDArray[np.int64]:
    """Return (height, width) of each picture in pixels, as the tables give them; shape (n, 2)."""
    return np.array([example.size for example in source.examples], dtype=np.int64).reshape(-1, 2)


def measure_boxes(source: Source) -> npt.NDArray[np.int64]:
    """Return (height, width) of each region of interest in pixels; shape (n, 2)."""
    boxes = [(e.box[3] - e.box[1], e.box[2] - e.box[0]) for e in source.examples]
    return np.array(boxes, dtype=np.int64).reshape(-1, 2)


def measure_margins(source: Source) -> npt.NDArray[np.int64]:
    """Return the pixels left of, above, right of and below each region of interest; shape (n, 4)."""
    margins = [
        (left, top, width - right, height - bottom)
        for (height, width), (left, top, right, bottom) in ((e.size, e.box) for e in source.examples)
    ]
    return np.array(margins, dtype=np.int64).reshape(-1, 4)


def find_tracks(source: Source) -> Tracks:
    """Put the frames of each physical sign in a row."""
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


def read_contents(source: Source, progress: Progress = lambda items, _total: items) -> Contents:
    """Decode every picture in its own size and measure its pixels; about 4,000 pictures a second on two cores.

    `progress` may wrap the work to show a bar.

    Raises:
        SourceError: a file cannot be read or is no picture; the message names it.
    """

    def measure(example: Example) -> Measured:
        pixels = _decode(source, example, example.size)
        left, top, right, bottom = example.box
        mean = pixels[top:bottom, left:right].mean(axis=(0, 1))
        digest = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes())
        # Hexadecimal, because NumPy's byte strings lose zeros at their end.
        return digest.hexdigest().encode(), float(mean @ LUMA)

    count = len(source.examples)
    measured = list(progress(_in_parallel(measure, source.examples), count))
    return Contents(
        brightness=np.array([brightness for _, brightness in measured], np.float32),
        digests=np.array([digest for digest, _ in measured], dtype="S64"),
    )


def share_between_tracks(source: Source, values: npt.NDArray[np.float32]) -> float:
    """Return the share of a quantity's variance that lies between tracks, not within them: the correlation ratio η².

    At 1 all frames of a track are alike in it; random values of 30 frames a track give about 0.03.

    Args:
        source: the examples.
        values: shape (n,), one for each example, not all the same.

    Raises:
        ValueError: the values are not as many as the examples.
    """
    if len(values) != len(source.examples):
        raise ValueError(f"{len(source.examples)} values are needed, one for each example; {len(values)} came")
    _, track = np.unique([example.group for example in source.examples], return_inverse=True)
    means = np.bincount(track, values) / np.bincount(track)
    return float(means[track].var() / values.var(dtype=np.float64))


def find_duplicates(source: Source, contents: Contents) -> tuple[Duplicates, ...]:
    """Return the sets of pixel-identical pictures of a source, in the order of their first paths.

    Raises:
        ValueError: the contents are not those of this source.
    """
    same: defaultdict[bytes, list[Example]] = defaultdict(list)
    for example, digest in zip(source.examples, contents.digests.tolist(), strict=True):
        same[digest].append(example)
    return tuple(Duplicates(tuple(examples)) for examples in same.values() if len(examples) > 1)


def decode_examples(source: Source, examples: Iterable[Example], side: int) -> Pixels:
    """Decode some examples to squares for a contact sheet; shape (n, side, side, 3), uint8 in [0, 255].

    Raises:
        SourceError: a file cannot be read or is no picture; the message names it.
    """
    decoded = [_decode(source, example, (side, side)) for example in examples]
    return np.stack(decoded) if decoded else np.empty((0, side, side, 3), np.uint8)


def choose_one_per_track(source: Source, class_index: int, count: int | None = None) -> tuple[Example, ...]:
    """Return the last frame of each of a class's tracks, which is the nearest and largest, in the tracks' order.

    With `count`, at most so many tracks are taken, evenly spread.
    """
    tracks = _by_group(example for example in source.examples if example.class_index == class_index)
    last = tuple(frames[-1] for frames in tracks.values())
    return last if count is None else tuple(last[row] for row in _spread(len(last), count))


def choose_by_brightness(source: Source, contents: Contents, count: int) -> tuple[tuple[Example, float], ...]:
    """Return up to `count` examples with their brightness, from the darkest to the brightest, evenly by rank.

    Raises:
        ValueError: the contents are not those of this source.
    """
    if len(contents.brightness) != len(source.examples):
        raise ValueError(f"contents of {len(source.examples)} examples are needed; {len(contents.brightness)} came")
    order = np.argsort(contents.brightness, kind="stable")
    return tuple((source.examples[row], float(contents.brightness[row])) for row in order[_spread(len(order), count)])


def choose_frames(source: Source, group: str, count: int) -> tuple[Example, ...]:
    """Return up to `count` frames of a track, evenly spread from its first to its last.

    Raises:
        KeyError: there is no such track.
    """
    frames = _by_group(source.examples)[group]
    return tuple(frames[row] for row in _spread(len(frames), count))


def _spread(length: int, count: int) -> npt.NDArray[np.int64]:
    """Return up to `count` different indices below `length`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))


def _by_group(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return the examples of each group in the order of their frames, the groups sorted."""
    members: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:  # sorted by path, and within a track that is by frame
        members[example.group].append(example)
    return dict(sorted(members.items()))


def _decode(source: Source, example: Example, size: tuple[int, int]) -> Pixels:
    try:
        return decode(source.read(example), size)
    except ImageError as error:
        raise SourceError(f"{source.name_of(example)}: {error}") from error


def _in_parallel(measure: Callable[[Example], Measured], examples: tuple[Example, ...]) -> Iterator[Measured]:
    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter lock
        for start in range(0, len(examples), _CHUNK):
            yield from pool.map(measure, examples[start : start + _CHUNK])
