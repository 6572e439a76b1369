"""Backbones, and weights from files."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from model.errors import TrainingError
from model.training.backbones import EFFICIENTNET_LITE0, backbone_features, find_backbone, load_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


def build(name: str, weights: object = "", side: int = 64) -> keras.Model:
    """Return a backbone as a network that maps pixels to features."""
    keras.utils.clear_session()  # the names of layers start again
    pixels = keras.Input((side, side, 3), dtype="uint8", name="pixels")
    return keras.Model(pixels, backbone_features(name, pixels, str(weights)))


def weights_by_name(network: keras.Model) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{layer.name}/{weight.name}": np.asarray(weight.numpy())
        for layer in network.layers
        for weight in layer.weights
    }


def as_if_trained(network: keras.Model) -> keras.Model:
    """Give batch normalisation weights other than its initial zeros and ones."""
    random = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return network


@pytest.mark.parametrize("name", ["EfficientNetB3", "EfficientNetB5", "EfficientNetLite0"])
def test_efficientnets_are_known_by_name(name: str) -> None:
    assert find_backbone(name) == (name, {})


def test_efficientnet_lite_gives_the_same_features_with_the_weights_of_a_file(tmp_path: Path) -> None:
    """Kernels are stored as float16, which loses digits but no more."""
    path = tmp_path / "weights.npz"
    first = as_if_trained(build(EFFICIENTNET_LITE0))
    stored = {
        name: value.astype(np.float16) if name.endswith("/kernel") else value
        for name, value in weights_by_name(first).items()
    }
    np.savez(path, **stored)  # type: ignore[arg-type]
    second = build(EFFICIENTNET_LITE0, path)
    expected, features = (network.predict(PIXELS, verbose=0) for network in (first, second))
    assert features.shape == (2, 2, 2, 1280)
    assert expected.std() > 0.1
    assert np.abs(features - expected).max() < 0.01


def test_a_file_without_an_array_or_with_another_shape_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    stored = weights_by_name(build(EFFICIENTNET_LITE0))
    missing = {name: value for name, value in stored.items() if name != "block3_project_bn/beta"}
    np.savez(path, **missing)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=r"weights\.npz: has no block3_project_bn/beta of shape \(40,\)"):
        build(EFFICIENTNET_LITE0, path)
    np.savez(path, **{**stored, "head_conv/kernel": np.zeros((1, 1, 320, 1))})  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=r"has no head_conv/kernel of shape \(1, 1, 320, 1280\)"):
        build(EFFICIENTNET_LITE0, path)
    path.write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"weights\.npz: cannot be read"):
        build(EFFICIENTNET_LITE0, path)


def test_efficientnet_lite_has_no_weights_to_download() -> None:
    with pytest.raises(TrainingError, match=r"cannot be downloaded; name a file"):
        build(EFFICIENTNET_LITE0, "imagenet")


def test_normalisation_uses_the_weights_of_the_file(tmp_path: Path) -> None:
    """Keras normalises with a copy of the mean and the variance, which loading must refresh."""
    pixels = keras.Input((8, 8, 3))
    network = keras.Model(pixels, keras.layers.Normalization(name="normal")(pixels))
    path = tmp_path / "weights.npz"
    statistics = {"normal/mean": np.array([1.0, 2.0, 3.0]), "normal/variance": np.full(3, 4.0), "normal/count": 0}
    np.savez(path, **statistics)  # type: ignore[arg-type]
    load_weights(network, path)
    normalised = network.predict(np.full((1, 8, 8, 3), 5.0), verbose=0)
    assert np.allclose(normalised[0, 0, 0], [2.0, 1.5, 1.0])


def test_efficientnet_lite_reads_all_published_weights() -> None:
    if "TASK_DATA" not in os.environ:
        pytest.skip("TASK_DATA names no folder with efficientnet_lite0_imagenet.npz")
    path = Path(os.environ["TASK_DATA"], "efficientnet_lite0_imagenet.npz")
    network = build(EFFICIENTNET_LITE0, path, side=224)
    with np.load(path) as file:
        assert len(file.files) == 245
        assert weights_by_name(network).keys() == set(file.files)
    assert network.output_shape == (None, 7, 7, 1280)
