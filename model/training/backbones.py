"""Reference networks for comparisons: a plain CNN and the networks of keras.applications."""

import re
from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers, ops

from model.errors import TrainingError

IMAGENET = "imagenet"
MIN_SIDE = {"InceptionV3": 75, "Xception": 71}  # px, smallest input; 32 for the others
SCALES = {  # expected input, according to the documentation of keras.applications
    "EfficientNetB0": "pixels",
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
    """Parse the name of a network of keras.applications.

    Args:
        name: a key of `SCALES`; a MobileNet may have a width multiplier after a colon: MobileNetV2:0.35.

    Returns:
        The name of the function that builds the network, and its keyword arguments.

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
    """Apply a network of keras.applications without its head.

    Args:
        name: name of the network, see `find_backbone`.
        pixels: a Keras tensor (batch, height, width, 3) in [0, 255]; enlarged if it is too small for the network.
        weights: "" for random weights, "imagenet" to download them, or the path of an HDF5 file.

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
    try:
        network = getattr(keras.applications, kind)(
            include_top=False, weights=IMAGENET if weights == IMAGENET else None, input_tensor=pixels, **options
        )
    except Exception as error:  # a failed download raises a plain Exception in Keras
        raise TrainingError(f"{name} with weights {weights or 'random'}: {error}") from error
    if weights not in ("", IMAGENET):
        load_weights(network, Path(weights))
    return network.output


def load_weights(network: keras.Model, path: Path) -> None:
    """Load the weights of a network from an HDF5 file by layer name, ignoring how the file nests its groups.

    Raises:
        TrainingError: the file cannot be read, or a weight is missing or has another shape.
    """
    found: dict[tuple[str, str], Any] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, weight = name.split("/")
            weight = weight.removesuffix(":0").removeprefix("depthwise_")  # names in older Keras versions
            found[RENAMED.get(layer, layer), weight] = item[()]

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error
    for layer in network.layers:
        for weight in layer.weights:
            value = found.get((layer.name, weight.name))
            if value is None or value.shape != tuple(weight.shape):
                raise TrainingError(f"{path}: has no {layer.name}/{weight.name} of shape {tuple(weight.shape)}")
            weight.assign(value)
