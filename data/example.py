"""A labelled picture of a data set."""

from dataclasses import dataclass

from data.images import Box

NO_CLASS = -1  # class index of feedback that shows none of the classes


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    Attributes:
        path: path of the file, relative to the source.
        class_index: class that the picture shows, or `NO_CLASS`.
        group: name that is unique across classes ("CCCCC/TTTTT"); the path if groups are unknown.
        size: (height, width) in pixels, as given in the table; without a table, the size of the upright picture.
        box: region of interest (left, top, right, bottom) in pixels, as given in the table; without a table, the whole
            picture.
    """

    path: str
    class_index: int
    group: str
    size: tuple[int, int]
    box: Box


def full_box(size: tuple[int, int]) -> Box:
    """Return the box that covers a whole picture of this (height, width)."""
    return 0, 0, size[1], size[0]
