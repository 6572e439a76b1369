"""The training set: examples with one-hot targets and outliers with uniform targets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.outliers import make_outliers
from data.pictures import Pictures
from data.prepare import Prepared
from data.task import Task
from data.training_settings import Training

MAX_OUTLIER_BYTES = 256_000_000  # outliers are made in memory; beyond this size each one weighs more instead


@dataclass(frozen=True)
class TrainingSet:
    """Pictures with their targets.

    Attributes:
        pixels: n pictures, on disk except for outliers and drawn examples.
        boxes: shape (n, 4), float32: left, top, right, bottom as fractions of the picture.
        targets: class probabilities, shape (n, classes), float32; the sum of each row is 1.
        weights: weight of each picture in the loss, shape (n,), float32.
    """

    pixels: Pictures
    boxes: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]

    def inputs(self, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Load some of the pictures and their boxes, as the training model takes them."""
        return {"pixels": self.pixels[rows], "boxes": self.boxes[rows]}

    @classmethod
    def of_examples(cls, task: Task, prepared: Prepared, rows: npt.NDArray[np.int64], power: float) -> "TrainingSet":
        """Select examples and give them one-hot targets.

        Args:
            task: the task; determines the number of classes.
            prepared: all examples.
            rows: indices of the examples to select, shape (n,).
            power: an example of a class with m examples has a weight proportional to m to this power.
        """
        class_index = prepared.class_index[rows]
        weights = np.bincount(class_index, minlength=len(task.labels))[class_index].astype(np.float32) ** power
        return cls(
            pixels=prepared.pixels.select(rows),
            boxes=prepared.boxes[rows],
            targets=np.eye(len(task.labels), dtype=np.float32)[class_index],
            weights=weights / weights.mean(),
        )

    def with_outliers(
        self,
        task: Task,
        class_index: npt.NDArray[np.int64],
        settings: Training,
        given: npt.NDArray[np.uint8] | None,
    ) -> "TrainingSet":
        """Add outliers with uniform targets (Hendrycks et al. 2019) and the examples that the task draws.

        Args:
            task: determines which outliers can be generated.
            class_index: classes of these examples, shape (n,).
            settings: determines the share of generated outliers and the seed.
            given: outliers from other sources, such as feedback, shape (m, height, width, 3), uint8. Unused if the
                settings have no outliers.

        Returns:
            These examples followed by the outliers and the drawn examples.
        """
        wanted = round(settings.outliers * len(self.pixels))
        if not wanted:
            return self
        limit = MAX_OUTLIER_BYTES // int(np.prod(self.pixels.shape[1:]))
        count = min(wanted, limit)
        drawn, classes, outliers = np.empty((0, *task.input_size, 3), np.uint8), np.empty(0, np.int64), []
        if extension := task.load_extension():
            added = extension.training_examples(
                task.input_size,
                self.pixels[:],
                self.boxes,
                class_index,
                count,
                settings.seed,
                everything=not settings.validation,
            )
            outliers, drawn, classes = [added.outliers], added.pixels, added.class_index
        rows = np.sort(np.random.default_rng(settings.seed).permutation(len(class_index))[:limit])
        outliers.append(
            make_outliers(task, self.pixels[rows], class_index[rows], count - sum(map(len, outliers)), settings.seed)
        )
        if given is not None:
            outliers.append(given)
        uniform = np.full((sum(map(len, outliers)), len(task.labels)), 1 / len(task.labels), np.float32)
        targets = np.concatenate([self.targets, uniform, np.eye(len(task.labels), dtype=np.float32)[classes]])
        more = len(targets) - len(self.targets)
        weights = np.ones(more, np.float32)
        weights[: len(uniform)] = wanted / count
        return TrainingSet(
            pixels=self.pixels.join([*outliers, drawn]),
            boxes=np.concatenate([self.boxes, np.tile(np.array([task.data.default_box], np.float32), (more, 1))]),
            targets=targets,
            weights=np.concatenate([self.weights, weights]),
        )
