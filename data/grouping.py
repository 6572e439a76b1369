"""Group the pictures of class folders by their file names, so that a split keeps pictures of one origin together."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

NUMBER = "number"  # the group of the pattern whose values are compared with the gap
_SEPARATOR = "-"


@dataclass(frozen=True)
class Grouping:
    """How file names tell which pictures belong together.

    Attributes:
        pattern: regular expression that is matched against the start of the file name. Pictures with the same text in
            its groups belong together; a picture whose name does not match is a group of its own.
        gap: if not 0, the group `number` of the pattern holds a number, such as a time, and pictures belong together
            as long as no two successive numbers are more than this far apart.
        across_classes: whether pictures of several classes may belong together; otherwise each class has its own
            groups.
    """

    pattern: str
    gap: int = 0
    across_classes: bool = False


def group_by_name(paths: Sequence[PurePosixPath], class_index: Sequence[int], grouping: Grouping | None) -> list[str]:
    """Return the group of each picture; without a grouping, each picture is its own group.

    Args:
        paths: paths of the pictures.
        class_index: class of each picture.
        grouping: how names tell the groups.

    Returns:
        Names that are unique across classes: the path for pictures that are groups of their own.
    """
    groups = [str(path) for path in paths]
    if grouping is None:
        return groups
    pattern = re.compile(grouping.pattern)
    numbered: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, path in enumerate(paths):
        match = pattern.match(path.name)
        if match is None:
            continue
        number = match[NUMBER] if NUMBER in pattern.groupindex and grouping.gap else None
        excluded = pattern.groupindex[NUMBER] if number else 0
        parts = [text for place, text in enumerate(match.groups(), start=1) if text and place != excluded]
        place = "all" if grouping.across_classes else f"{class_index[row]:05d}"
        groups[row] = f"{place}/{_SEPARATOR.join(parts)}"
        if number:
            numbered[groups[row]].append((int(number), row))
    for prefix, members in numbered.items():
        first = previous = None
        for number, row in sorted(members):
            if first is None or previous is None or number - previous > grouping.gap:
                first = number
            previous = number
            groups[row] = f"{prefix}{_SEPARATOR}{first}"
    return groups
