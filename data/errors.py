"""What can go wrong with examples, as a tree to catch at any level.

DataError
├── TaskError      a task file is missing or wrong
├── ImageError     bytes that are no picture we read
├── BoxError       a part that a picture does not have, or that is too small
├── SourceError    a data set is missing, damaged or incomplete
├── FullError      no more pictures are kept
└── SplitError     a class cannot be divided into training and validation

Every message says what was expected and what came, in words for a person.
"""


class DataError(Exception):
    """Anything wrong with a task, a picture or a data set."""


class TaskError(DataError):
    """A task file is missing, is no TOML, or breaks a rule of `data.task`."""


class ImageError(DataError):
    """These bytes are not a picture that can be read; the message says why."""


class BoxError(DataError):
    """A box does not lie inside its picture, or holds too little of it; the message says how large the picture is."""


class SourceError(DataError):
    """A data set is missing, damaged, or does not hold what its task promises."""


class FullError(DataError):
    """As many pictures are kept already as may be."""


class SplitError(DataError):
    """A class has too few groups to be divided."""
