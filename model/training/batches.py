"""Batches of a training set, read from disk as they are needed."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.training.training_set import TrainingSet

Inputs = dict[str, npt.NDArray[Any]]


class Batches(keras.utils.PyDataset):
    """The pictures of a training set in batches, as a Keras model takes them.

    Args:
        examples: the training set.
        batch_size: pictures per batch; the last batch may be smaller.
        seed: together with the number of the epoch, decides the order of the pictures; None keeps their order.
    """

    def __init__(self, examples: TrainingSet, batch_size: int, seed: int | None = None) -> None:
        super().__init__(workers=1)
        self._examples, self._batch_size, self._seed = examples, batch_size, seed
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Move on to another epoch."""
        rows = np.arange(len(self._examples.targets))
        self._order = rows if self._seed is None else np.random.default_rng((self._seed, epoch)).permutation(rows)

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, step: int) -> tuple[Inputs, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        rows = self._order[step * self._batch_size : (step + 1) * self._batch_size]
        return self._examples.inputs(rows), self._examples.targets[rows], self._examples.weights[rows]
