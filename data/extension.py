"""What a task may add in code: `data/tasks/<task>/extension.py` with an object `EXTENSION`.

General code reaches it through `Task.load_extension` and never imports a task by name.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DrawnExamples:
    """Pictures that a task adds to a training set.

    Attributes:
        outliers: pictures of none of the classes, shape (m, height, width, 3), uint8.
        pixels: pictures of the classes, shape (n, height, width, 3), uint8; without them a network would learn
            "drawn" = "unknown".
        class_index: what `pixels` show, shape (n,), int64.
    """

    outliers: Pixels
    pixels: Pixels
    class_index: Indices


class TaskExtension(Protocol):
    """Pictures that a task draws for itself. The same seed always gives the same pictures."""

    @property
    def version(self) -> list[Any]:
        """JSON values that change whenever the same seed gives other pictures."""

    def draw_label(self, class_index: int, side: int) -> Pixels:
        """Draw a class as a pictogram; shape (side, side, 4), uint8 RGBA on a transparent ground.

        Raises:
            ValueError: no such class.
        """

    def draw_example(self, class_index: int, seed: int, side: int) -> Pixels:
        """Draw a class as a camera may see it; shape (side, side, 3), uint8.

        Raises:
            ValueError: no such class.
        """

    def write_examples(self, folder: Path, per_class: int, seed: int) -> None:
        """Write a whole data set of drawings that `data.source` recognises as drawn.

        Raises:
            SourceError: the folder holds something else.
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
        """Make examples that teach doubt.

        Args:
            size: (height, width) of the pictures to make.
            pixels, boxes, class_index: the training examples, as in `data.prepare.Prepared`.
            count: how many outliers there will be in all; general ones fill up what is not made here.
            seed: decides what is made.
            everything: also use the kinds that are otherwise kept for testing, because nothing is held out.
        """

    def test_outliers(
        self, size: tuple[int, int], pixels: Pixels, boxes: Boxes, class_index: Indices, count: int, seed: int
    ) -> Mapping[str, Pixels]:
        """Make outliers to measure refusal with: by kind, each (up to count, height, width, 3), uint8."""


def load_extension(task_name: str) -> TaskExtension | None:
    """Return what a task adds in code, or None if it adds nothing."""
    package = f"data.tasks.{task_name}"
    if importlib.util.find_spec(package) is None or importlib.util.find_spec(f"{package}.extension") is None:
        return None
    extension: TaskExtension = importlib.import_module(f"{package}.extension").EXTENSION
    return extension
