"""Networks of others, for the comparison: those of keras.applications by name, and a plain one."""

from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers

from model.errors import TrainingError

IMAGENET = "imagenet"
SMALLEST = {"InceptionV3": 75, "Xception": 71}  # px; their least side, the others take 32
TORCH_LIKE_SCALE = ("MobileNet", "MobileNetV2", "InceptionV3", "Xception")  # x / 127.5 - 1
OWN_SCALE = ("EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small", "MobileNetV3Large")  # inside the network
RENAMED = {"Conv1_bn": "bn_Conv1"}  # a layer of MobileNetV2 in files of other versions of Keras


def plain_features(x: Any) -> Any:
    """Two pairs of convolutions and a dense layer, the form that most first tries on this data set have.

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


def backbone_features(name: str, pixels: Any, weights: str) -> Any:
    """Put a network of keras.applications, without its head, on pixels.

    Args:
        name: of its class, for MobileNet and MobileNetV2 with the width multiplier after a colon: MobileNetV2:0.35.
        pixels: a Keras tensor (batch, height, width, 3) in [0, 255].
        weights: "" for random ones, "imagenet" to download, or an HDF5 file.

    Returns:
        Features (batch, height / 32, width / 32, channels).

    Raises:
        TrainingError: no such network, or weights that cannot be had or do not fit.
    """
    kind, _, multiplier = name.partition(":")
    build = getattr(keras.applications, kind, None)
    if build is None:
        raise TrainingError(f"there is no network {name!r} in keras.applications")
    options = {"alpha": float(multiplier)} if multiplier else {}
    least = SMALLEST.get(kind, 32)
    if min(pixels.shape[1:3]) < least:
        pixels = layers.Resizing(least, least, name="enlarge")(pixels)
    if kind in TORCH_LIKE_SCALE:
        pixels = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels)
    elif kind not in OWN_SCALE:  # ImageNet's mean and deviation
        pixels = layers.Normalization(
            mean=[123.68, 116.78, 103.94], variance=[58.4**2, 57.1**2, 57.4**2], name="scale"
        )(pixels)
    try:
        network = build(
            include_top=False, weights=IMAGENET if weights == IMAGENET else None, input_tensor=pixels, **options
        )
    except Exception as error:  # what a download may raise is not documented; the reason is passed on
        raise TrainingError(f"{name} with weights {weights or 'random'}: {error}") from error
    if weights not in ("", IMAGENET):
        load_weights(network, Path(weights))
    return network.output


def load_weights(network: keras.Model, path: Path) -> None:
    """Set the weights of a network from an HDF5 file, layer by layer by name, whatever the groups around them.

    Raises:
        TrainingError: the file cannot be read, lacks a layer, or one has another shape.
    """
    found: dict[tuple[str, str], Any] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, weight = name.split("/")
            found[RENAMED.get(layer, layer), weight.removesuffix(":0")] = item[()]

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
