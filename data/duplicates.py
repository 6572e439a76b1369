"""Find pictures that are there twice, so that a split does not put the same picture on both sides.

Three searches, from certain to far: the same pixels; the same picture re-encoded, resized or mirrored; the same photo
turned, moved, enlarged or with other colours. Pictures that are linked, directly or through others, become one group.

    python -m data.duplicates --task TASK [--data PATH]
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.images import Indices, Pixels
from data.local_features import extract_features, propose_pairs, resample, show_same_photo
from data.pictures import digest

VERSION = 1  # raise it when the same pixels give other links
EXACT, NEAR, ALTERED = range(3)  # kinds of links
MAX_ALTERED: Final = 20_000  # pictures among which altered copies are looked for; more would take hours
_COARSE, _FINE = 16, 32  # sides of the thumbnails in pixels
# Correlation of thumbnails from which on pictures are the same. Re-encoded and resized copies have 0.99 and more. At
# the fine side, no two of 1,421 pictures of fruit before a white background reach 0.98 if they are of different films.
_COARSE_LIMIT, _FINE_LIMIT = 0.97, 0.98
_BATCH = 512  # pictures at a time
_NAMED = 20  # sets of pictures that the card lists
_SHOWN = 5  # sets of pictures that training prints

Links = npt.NDArray[np.int64]  # rows of two pictures and the kind of the link, shape (m, 3)


@dataclass(frozen=True)
class DuplicateReport:
    """What was found in a data set.

    Attributes:
        pictures: number of pictures that were compared.
        exact: how many have the same pixels as an earlier one.
        near: how many others were found again as re-encoded, resized or mirrored copies of an earlier one.
        altered: how many others were found again turned, moved, enlarged or with other colours; None if there were too
            many pictures to look for them.
        groups_before, groups: number of groups before and after groups with a picture in common were joined.
        across_classes: paths of the pictures in each set that spans several classes.
        across_groups: paths of the pictures in each set that spans several of the groups before.
    """

    pictures: int
    exact: int
    near: int
    altered: int | None
    groups_before: int
    groups: int
    across_classes: tuple[tuple[str, ...], ...]
    across_groups: tuple[tuple[str, ...], ...]

    def lines(self, group: str, shown: int = _SHOWN) -> list[str]:
        """Return sentences for people.

        Args:
            group: noun for a group, such as "track".
            shown: number of sets to name, and of pictures in each.
        """
        altered = "altered copies were not looked for" if self.altered is None else f"{self.altered:,} altered copies"
        lines = [
            f"duplicates among {self.pictures:,} pictures: {self.exact:,} identical, {self.near:,} nearly identical or "
            f"mirrored, {altered}; {self.groups_before:,} {group}s become {self.groups:,}"
        ]
        for sets, what in ((self.across_classes, "classes"), (self.across_groups, f"{group}s")):
            if sets:
                lines.append(f"in several {what}: {len(sets):,} sets of pictures")
                lines += [f"  {_shorten(paths, shown)}" for paths in sets[:shown]]
                lines += [f"  and {len(sets) - shown:,} more"] if len(sets) > shown else []
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return JSON values for the card, with a limited number of names."""
        return {
            "exact": self.exact,
            "near": self.near,
            "altered": self.altered,
            "groups_before": self.groups_before,
            "across_classes": len(self.across_classes),
            "across_groups": len(self.across_groups),
            "examples_across_classes": [_shorten(paths, _NAMED) for paths in self.across_classes[:_NAMED]],
            "examples_across_groups": [_shorten(paths, _NAMED) for paths in self.across_groups[:_NAMED]],
        }


def _shorten(paths: Sequence[str], shown: int) -> str:
    return ", ".join(paths[:shown]) + (f" and {len(paths) - shown:,} more" if len(paths) > shown else "")


class _Sets:
    """Disjoint sets of integers from 0 to n - 1; the smallest member stands for its set."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, member: int) -> int:
        """Return the smallest member of a set."""
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, one: int, other: int) -> bool:
        """Join two sets; return whether they were different."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first
        return first != second


def find_links(pixels: Pixels, groups: Sequence[str]) -> Links:
    """Return links between pictures that show the same photo.

    Takes about 20 seconds for 2,000 pictures on two cores. Altered copies are looked for only between pictures that
    neither their group nor another link joins already, and only among `MAX_ALTERED` pictures.

    Args:
        pixels: shape (n, height, width, 3), uint8 in [0, 255].
        groups: group of each picture.

    Returns:
        Rows of the pictures and the kind of the link, shape (m, 3), int64.
    """
    sets = _Sets(len(pixels))
    links = []
    for kind, pairs in ((EXACT, _find_exact(pixels)), (NEAR, _find_near(pixels))):
        links += [(one, other, kind) for one, other in pairs if sets.join(one, other)]
    first: dict[str, int] = {}
    for row, group in enumerate(groups):
        sets.join(first.setdefault(group, row), row)
    if len(pixels) <= MAX_ALTERED:
        features = extract_features(pixels)
        for one, other, mirrored in propose_pairs(features):
            if sets.find(one) != sets.find(other) and show_same_photo(features, one, other, mirrored=mirrored):
                sets.join(one, other)
                links.append((one, other, ALTERED))
    return np.array(links, np.int64).reshape(-1, 3)


def merge_groups(
    links: Links, groups: Sequence[str], class_index: Indices, paths: Sequence[str]
) -> tuple[list[str], DuplicateReport]:
    """Give linked pictures one group, and describe them.

    Args:
        links: the links between the pictures, from `find_links`.
        groups: group of each picture; a merged group has the name that comes first.
        class_index: class of each picture, shape (n,).
        paths: path of each picture.
    """
    copies, counts = _Sets(len(paths)), [0, 0, 0]
    for one, other, kind in links.tolist():
        counts[kind] += copies.join(one, other)
    names = sorted(set(groups))
    number = {name: place for place, name in enumerate(names)}
    merged = _Sets(len(names))
    members: dict[int, list[int]] = {}
    for row in range(len(paths)):
        members.setdefault(copies.find(row), []).append(row)
    across_classes, across_groups = [], []
    for rows in members.values():
        for row in rows[1:]:
            merged.join(number[groups[rows[0]]], number[groups[row]])
        named = tuple(paths[row] for row in rows)
        if len({int(class_index[row]) for row in rows}) > 1:
            across_classes.append(named)
        if len({groups[row] for row in rows}) > 1:
            across_groups.append(named)
    after = [names[merged.find(number[group])] for group in groups]
    report = DuplicateReport(
        pictures=len(paths),
        exact=counts[EXACT],
        near=counts[NEAR],
        altered=counts[ALTERED] if len(paths) <= MAX_ALTERED else None,
        groups_before=len(names),
        groups=len(set(after)),
        across_classes=tuple(across_classes),
        across_groups=tuple(across_groups),
    )
    return after, report


def _find_exact(pixels: Pixels) -> Iterable[tuple[int, int]]:
    first: dict[bytes, int] = {}
    for row, picture in enumerate(pixels):
        earlier = first.setdefault(digest(picture), row)
        if earlier != row:
            yield earlier, row


def _find_near(pixels: Pixels) -> Iterable[tuple[int, int]]:
    """Yield pairs of pictures whose thumbnails, one of them perhaps mirrored, are almost the same."""
    coarse = _thumbnails(pixels, _COARSE)
    plain, mirrored = _normalise(coarse), _normalise(coarse[:, :, ::-1])
    for start in range(0, len(pixels), _BATCH):
        for flip, others in ((False, plain), (True, mirrored)):
            alike = plain[start : start + _BATCH] @ others[: start + _BATCH].T
            one, other = np.nonzero(alike > _COARSE_LIMIT)
            one, other = one[other < one + start] + start, other[other < one + start]
            for part in range(0, len(one), _BATCH):
                rows, columns = one[part : part + _BATCH], other[part : part + _BATCH]
                here, there = _thumbnails(pixels[rows], _FINE), _thumbnails(pixels[columns], _FINE)
                there = there[:, :, ::-1] if flip else there
                same = (_normalise(here) * _normalise(there)).sum(axis=1) > _FINE_LIMIT
                yield from zip(columns[same].tolist(), rows[same].tolist(), strict=True)


def _thumbnails(pixels: Pixels, side: int) -> npt.NDArray[np.float32]:
    """Return thumbnails in colour, shape (n, side, side, 3)."""
    small = np.empty((len(pixels), side, side, 3), np.float32)
    for start in range(0, len(pixels), _BATCH):
        for channel in range(3):
            part = pixels[start : start + _BATCH, :, :, channel].astype(np.float32)
            small[start : start + _BATCH, :, :, channel] = resample(part, side)
    return small


def _normalise(thumbnails: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return rows with mean 0 and norm 1, whose products are correlations; contrast and brightness do not count."""
    rows = thumbnails.reshape(len(thumbnails), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return unit


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    from data.prepare import prepare  # here, because it needs this module
    from data.source import STORE, find_source, open_source
    from data.task import DEFAULT_TASK, load_task

    parser = argparse.ArgumentParser(
        prog="python -m data.duplicates", description="Print pictures that are there twice."
    )
    parser.add_argument("--task", default=DEFAULT_TASK, help="name of a folder in data/tasks (default: %(default)s)")
    parser.add_argument(
        "--data", type=Path, metavar="PATH", help="folder or archive (default: the data set in data/store)"
    )
    parser.add_argument(
        "--ignore-names",
        action="store_true",
        help="ignore the groups that file names tell, and print how many of them the pictures tell",
    )
    parser.add_argument("--all", action="store_true", help="name all sets of pictures")
    parser.add_argument(
        "--store", type=Path, default=STORE, help="folder for the cache of decoded pictures (default: data/store)"
    )
    options = parser.parse_args(arguments)
    try:
        task = load_task(options.task)
        source = open_source(options.data, task) if options.data else find_source(task, options.store)
        examples = tuple(e for e in source.examples if e.group not in task.data.excluded_groups)
        plain = replace(task, data=replace(task.data, duplicates=False))
        pixels = prepare(replace(source, examples=examples), plain, options.store / "cache").pixels[:]
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    paths = [example.path for example in examples]
    told = [example.group for example in examples]
    groups = paths if options.ignore_names else told
    classes = np.array([example.class_index for example in examples])
    found, report = merge_groups(find_links(pixels, groups), groups, classes, paths)
    noun = "picture" if options.ignore_names else task.data.group
    lines = report.lines(noun, sys.maxsize if options.all else _SHOWN)
    if options.ignore_names:
        lines += _compare(told, found, task.data.group)
    print("\n".join(lines))
    return 0


def _compare(told: Sequence[str], found: Sequence[str], group: str) -> list[str]:
    """Describe how well the groups that were found agree with those that file names tell."""
    copies = len(told) - len(set(told))
    pairs = len(set(zip(told, found, strict=True)))
    again, mixed = len(told) - pairs, pairs - len(set(found))
    return [
        f"names tell {len(set(told)):,} {group}s: {again:,} of the {copies:,} further pictures in them were linked to "
        f"another one of the same {group}; {mixed:,} links join different {group}s"
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
