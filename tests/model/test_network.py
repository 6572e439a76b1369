"""Network, augmentation and export, as far as they can be judged without hours of training."""

import keras
import numpy as np
import numpy.typing as npt
import pytest

from model.augment import Augment
from model.network import build_network
from tests.conftest import drawing

BOXES = np.tile(np.array([[0.1, 0.1, 0.9, 0.9]], np.float32), (64, 1))


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(drawing(size=48, seed=seed)) for seed in range(64)])


def test_network_maps_pixels_to_one_logit_per_class(pictures: npt.NDArray[np.uint8]) -> None:
    logits = build_network((48, 48), 43, widths=(8, 16, 32)).predict(pictures[:3], verbose=0)
    assert logits.shape == (3, 43)
    assert logits.dtype == np.float32


def test_network_has_the_promised_size() -> None:
    parameters = build_network((48, 48), 43, widths=(32, 64, 128, 256)).count_params()
    assert 1_200_000 < parameters < 1_300_000


def test_augmentation_changes_pictures_only_while_training(pictures: npt.NDArray[np.uint8]) -> None:
    augment = Augment(seed=1)
    distorted = keras.ops.convert_to_numpy(augment(pictures, BOXES, training=True))
    assert distorted.dtype == np.uint8
    assert distorted.shape == pictures.shape
    assert np.abs(distorted.astype(int) - pictures).mean() > 10
    assert np.array_equal(keras.ops.convert_to_numpy(augment(pictures, BOXES, training=False)), pictures)


def test_augmentation_of_no_strength_only_frames_and_lights() -> None:
    """Without strength a sign stays where it is: its outline, found by contrast, does not turn or shift."""
    augment = Augment(seed=1)
    augment.build()
    augment.strength.assign(0.0)
    blank = np.zeros((64, 48, 48, 3), np.uint8)
    blank[:, 20:28, 20:28] = 255
    distorted = keras.ops.convert_to_numpy(augment(blank, BOXES, training=True)).astype(float).mean(axis=3)
    rows = distorted.sum(axis=2) @ np.arange(48) / distorted.sum(axis=(1, 2))
    columns = distorted.sum(axis=1) @ np.arange(48) / distorted.sum(axis=(1, 2))
    assert np.abs(rows - 23.5).max() < 0.6
    assert np.abs(columns - 23.5).max() < 0.6


def test_signs_are_never_mirrored() -> None:
    """Turn left must not become turn right: a picture bright on its left stays so in every distortion."""
    left = np.zeros((64, 48, 48, 3), np.uint8)
    left[:, :, :24] = 200
    augment = Augment(seed=2)
    distorted = keras.ops.convert_to_numpy(augment(left, BOXES, training=True)).astype(float)
    assert (distorted[:, :, :12].mean(axis=(1, 2, 3)) > distorted[:, :, 36:].mean(axis=(1, 2, 3))).all()
