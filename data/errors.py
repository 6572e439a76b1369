"""Exceptions of this package; callers can catch them at any level.

DataError
├── TaskError          a task file is missing or invalid
├── ImageError         the bytes are not a picture that can be decoded
├── BoxError           a box is outside its picture, empty or too small
├── SourceError        a data set is missing, damaged or incomplete
├── StorageFullError   the quota for stored pictures is reached
└── SplitError         a class cannot be split into training and validation

Each message states the expected and the actual value in plain language.
"""


class DataError(Exception):
    """Something is wrong with a task, a picture or a data set."""


class TaskError(DataError):
    """A task file is missing, is not valid TOML, or breaks a rule of `data.task`."""


class ImageError(DataError):
    """The bytes cannot be decoded as a picture; the message says why."""


class BoxError(DataError):
    """A box is empty, too small or outside its picture."""


class SourceError(DataError):
    """A data set is missing, damaged, or does not match its task."""


class StorageFullError(DataError):
    """The quota for stored pictures is reached."""


class SplitError(DataError):
    """A class has too few groups to be split."""
