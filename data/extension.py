"""Extensions: code that a task may add in `data/tasks/<task>/extension.py`, as an object named `EXTENSION`.

General code calls `Task.load_extension` and never imports a task by name.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data.images import Boxes, Indices, Pixels


@dataclass(frozen=True)
class DrawnExamples:
    """Drawings that a task adds to a training set.

    Attributes:
        outliers: drawings that show none of the classes, shape (m, height, width, 3), uint8 in [0, 255].
        pixels: drawings of the classes, shape (n, height, width, 3), uint8 in [0, 255]; otherwise the network learns
            "drawn" = "unknown".
        class_index: classes of `pixels`, shape (n,), int64.
    """

    outliers: Pixels
    pixels: Pixels
    class_index: Indices


class TaskExtension(Protocol):
    """Code that draws pictures for one task. The same seed always gives the same pictures."""

    @property
    def version(self) -> list[Any]:
        """JSON values that change whenever the same seed would give different pictures."""

    def draw_label(self, class_index: int, side: int) -> Pixels:
        """Draw a class as a pictogram on a transparent background.

        Returns:
            RGBA pixels, shape (side, side, 4), uint8 in [0, 255].

        Raises:
            ValueError: the class does not exist.
        """

    def draw_example(self, class_index: int, seed: int, side: int) -> Pixels:
        """Draw a class as it might look in a photo.

        Returns:
            RGB pixels, shape (side, side, 3), uint8 in [0, 255].

        Raises:
            ValueError: the class does not exist.
        """

    def write_examples(self, folder: Path, per_class: int, seed: int) -> None:
        """Write a data set of drawings, marked so that `data.source` recognises it as drawn.

        Raises:
            SourceError: the folder contains anything other than drawings.
            OSError: the folder cannot be written.
        """

    def training_examples(
        self,
        size: tuple[int, int],
        pixels: Pixels,
        boxes: Boxes,
        class_index: Indices,
        count: int,
        seed: int,
        *,
        everything: bool,
    ) -> DrawnExamples:
        """Draw examples from which a network learns to recognise outliers.

        Args:
            size: (height, width) of the drawings.
            pixels, boxes, class_index: the training examples, as in `data.prepare.Prepared`.
            count: total number of outliers in training; general outliers make up for those not returned here.
            seed: random seed.
            everything: whether nothing is held out, so that the kinds reserved for testing are used too.
        """

    def test_outliers(
        self, size: tuple[int, int], pixels: Pixels, boxes: Boxes, class_index: Indices, count: int, seed: int
    ) -> Mapping[str, Pixels]:
        """Make outliers to test whether a classifier rejects them.

        Args:
            size: (height, width) of the pictures to make.
            pixels, boxes, class_index: the test examples, as in `data.prepare.Prepared`.
            count: maximum number of outliers of each kind.
            seed: random seed.

        Returns:
            Pixels by the name of the kind; shape (up to count, height, width, 3), uint8 in [0, 255].
        """


def load_extension(task_name: str) -> TaskExtension | None:
    """Return the extension of a task, or None if it has none."""
    package = f"data.tasks.{task_name}"
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(f"{package}.extension") is None:
        return None
    extension: TaskExtension = importlib.import_module(f"{package}.extension").EXTENSION
    return extension
