"""Backbones for transfer learning and comparisons: a plain CNN, networks of keras.applications, EfficientNet-Lite0."""

import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers, ops

from data.training_settings import IMAGENET
from model.artifact import NETWORK_FILE
from model.errors import TrainingError
from model.training.efficientnet_lite import efficientnet_lite0

MIN_SIDE = {"InceptionV3": 75, "Xception": 71}  # px, smallest input; 32 for the others
EFFICIENTNET_LITE0 = "EfficientNetLite0"  # the only one that is not in keras.applications
SCALES = {  # expected input, according to the documentation of keras.applications; our own scales pixels itself
    "EfficientNetB0": "pixels",
    "EfficientNetB3": "pixels",
    "EfficientNetB5": "pixels",
    EFFICIENTNET_LITE0: "pixels",
    "EfficientNetV2B0": "pixels",
    "InceptionV3": "signed",
    "MobileNet": "signed",
    "MobileNetV2": "signed",
    "MobileNetV3Small": "pixels",
    "ResNet50": "caffe",
    "ResNet50V2": "signed",
    "VGG16": "caffe",
    "Xception": "signed",
}
RENAMED = {"Conv1_bn": "bn_Conv1"}  # a layer of MobileNetV2 in weight files of other Keras versions


def plain_features(x: Any) -> Any:
    """Build a plain baseline CNN: two pairs of convolutions and a dense layer.

    Args:
        x: pixels as a Keras tensor (batch, height, width, 3), float in [-1, 1].

    Returns:
        Features (batch, 256).
    """
    for number, (width, kernel) in enumerate(((32, 5), (64, 3)), start=1):
        for half in "ab":
            x = layers.Conv2D(width, kernel, activation="relu", name=f"plain{number}{half}")(x)
        x = layers.Dropout(0.25, name=f"plain{number}_dropout")(layers.MaxPooling2D(name=f"plain{number}_pool")(x))
    return layers.Dense(256, activation="relu", name="features")(layers.Flatten(name="flat")(x))


def find_backbone(name: str) -> tuple[str, dict[str, float]]:
    """Parse the name of a backbone.

    Args:
        name: a key of `SCALES`; a MobileNet may have a width multiplier after a colon: MobileNetV2:0.35.

    Returns:
        The key of `SCALES`, and keyword arguments for the function that builds the network.

    Raises:
        TrainingError: the network is unknown, or its width multiplier is invalid.
    """
    kind, colon, multiplier = name.partition(":")
    if kind not in SCALES:
        raise TrainingError(f"unknown network {name!r}; use one of residual:WIDTHS, plain, {', '.join(SCALES)}")
    if not colon:
        return kind, {}
    if not kind.startswith("MobileNet"):
        raise TrainingError(f"{name!r}: only MobileNets have a width multiplier")
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", multiplier) or not float(multiplier):
        raise TrainingError(f"{name!r}: the width multiplier after the colon must be a positive number")
    return kind, {"alpha": float(multiplier)}


def backbone_features(name: str, pixels: Any, weights: str) -> Any:
    """Apply a backbone: a network without its head.

    Args:
        name: name of the network, see `find_backbone`.
        pixels: a Keras tensor (batch, height, width, 3) in [0, 255]; enlarged if it is too small for the network.
        weights: "" for random weights, "imagenet" to download those of keras.applications, or the path of a file that
            `load_weights` reads.

    Returns:
        Features (batch, height / 32, width / 32, channels).

    Raises:
        TrainingError: the network is unknown, or its weights cannot be loaded.
    """
    kind, options = find_backbone(name)
    side = MIN_SIDE.get(kind, 32)
    if min(pixels.shape[1:3]) < side:
        pixels = layers.Resizing(side, side, name="enlarge")(pixels)
    if SCALES[kind] == "signed":
        pixels = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels)
    elif SCALES[kind] == "caffe":  # BGR order, minus the ImageNet mean of each channel
        pixels = layers.Rescaling(1.0, name="numbers")(pixels)
        mean = [103.939, 116.779, 123.68]
        pixels = layers.Normalization(mean=mean, variance=[1.0] * 3, name="scale")(ops.flip(pixels, axis=-1))
    network = _build(kind, options, pixels, weights)
    if weights not in ("", IMAGENET):
        load_weights(network, Path(weights))
    return network.output


def _build(kind: str, options: dict[str, float], pixels: Any, weights: str) -> keras.Model:
    """Return the network with random or downloaded weights."""
    if kind == EFFICIENTNET_LITE0:
        if weights == IMAGENET:
            raise TrainingError(f"{kind}: its weights cannot be downloaded; name a file, such as weights = PATH.npz")
        return keras.Model(keras.utils.get_source_inputs(pixels), efficientnet_lite0(pixels))
    try:
        return getattr(keras.applications, kind)(
            include_top=False, weights=IMAGENET if weights == IMAGENET else None, input_tensor=pixels, **options
        )
    except Exception as error:  # a failed download raises a plain Exception in Keras
        raise TrainingError(f"{kind} with weights {weights or 'random'}: {error}") from error


def load_weights(network: keras.Model, path: Path) -> None:
    """Load the weights of a network by layer name from a file or an artifact.

    Args:
        network: the network.
        path: an HDF5 file, whose nesting of groups is ignored; an `.npz` file, whose arrays are named
            `<layer>/<weight>`; a `.keras` file; or the folder of an artifact.

    Raises:
        TrainingError: the file cannot be read, or a weight is missing, ambiguous or of another shape.
    """
    if path.is_dir():
        path = path / NETWORK_FILE
    read = {".npz": _read_npz, ".keras": _read_keras}.get(path.suffix, _read_hdf5)
    try:
        found = read(path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    for layer in network.layers:
        for weight in layer.weights:
            names = [
                f"{layer.name}/{weight.name}",
                f"{layer.name}/depthwise_{weight.name}",
            ]  # the latter before Keras 3
            values = next((found[name] for name in names if name in found), [])
            if len(values) != 1 or values[0].shape != tuple(weight.shape):
                problem = f"has {len(values)} weights" if len(values) > 1 else "has no"
                raise TrainingError(f"{path}: {problem} {names[0]} of shape {tuple(weight.shape)}")
            weight.assign(values[0])
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()  # it normalises with a copy of its weights


def _read_npz(path: Path) -> dict[str, list[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: [file[name]] for name in file.files}


def _read_keras(path: Path) -> dict[str, list[Any]]:
    saved = keras.models.load_model(path, compile=False)
    return {
        f"{layer.name}/{weight.name}": [keras.ops.convert_to_numpy(weight)]
        for layer in saved.layers
        for weight in layer.weights
    }


def _read_hdf5(path: Path) -> dict[str, list[Any]]:
    """Return the arrays of a file by `<layer>/<weight>`; several where the file has several networks with this layer.

    Names of layers may contain slashes, which become `_`, because Keras 3 does not allow them. So the end of a path may
    be the name of another layer, and of several arrays with such an end, those with the shortest path are meant.
    """
    found: dict[str, dict[int, list[Any]]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *groups, weight = name.split("/")
            value = item[()]
            for start in range(len(groups)):
                layer = "_".join(groups[start:])
                key = f"{RENAMED.get(layer, layer)}/{weight.removesuffix(':0')}"
                found.setdefault(key, {}).setdefault(start, []).append(value)

    with h5py.File(path) as file:
        file.get("model_weights", file).visititems(collect)
    return {key: values[min(values)] for key, values in found.items()}
