"""Write the shipped artifact with a detector for what is red: `python -m tests.red_detector FOLDER [SIDE]`.

Its weights are set by hand, so which boxes it finds is known: each is a square of `SIDE` pixels (or as many as are
given) around the middle of a red area, whose score grows with the redness. Runs in a process of its own because of
TensorFlow.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from model.artifact import add_detector
from model.detector import CLOSE_SIGN, REFERENCE_SIDE, STRIDE
from tests.conftest import SHIPPED

SIDE = CLOSE_SIGN  # pixels of every box; a close look does not change it
SIGMA = 2.5  # grid cells: standard deviation of the bell that redness is weighted with
CARD_PART: dict[str, Any] = {"version": "2026-01-01-00000000", "min_score": 0.5, "min_unsure_score": 0.5, "margin": 0.1}


def build(pixels_per_side: float = SIDE) -> Any:
    """Return the Keras network, which gives every box this side in pixels."""
    import keras  # here, so that tests may import the constants alone
    from keras import layers

    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(1, 1, activation="relu", name="red")(x)
    x = layers.AveragePooling2D(STRIDE)(x)
    x = layers.Conv2D(1, 11, padding="same", name="middle")(x)
    network = keras.Model(pixels, layers.Conv2D(5, 1, name="places")(x))
    network.get_layer("red").set_weights([np.array([1, -0.5, -0.5]).reshape(1, 1, 3, 1), np.zeros(1)])
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * SIGMA**2))
    bell /= bell.sum()
    network.get_layer("middle").set_weights([np.outer(bell, bell).reshape(11, 11, 1, 1), np.zeros(1)])
    side = np.log(pixels_per_side / (REFERENCE_SIDE * STRIDE))
    slope = np.array([40, 0, 0, 0, 0]).reshape(1, 1, 1, 5)
    network.get_layer("places").set_weights([slope, np.array([-6, 0, 0, side, side])])
    return network


def main(folder: Path, side: float = SIDE) -> None:
    from model.training.export import to_litert

    shutil.copytree(SHIPPED, folder)
    network = build(side)
    add_detector(folder, to_litert(network), network.save, CARD_PART)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
