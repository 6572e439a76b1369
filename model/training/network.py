"""The classifier's network: maps uint8 pixels to logits and includes the scaling of pixels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from data.training_settings import PLAIN, RESIDUAL, Training
from model.training.backbones import backbone_features, plain_features

NETWORK = "network"  # name of the Keras model
EMBEDDING = 128  # channels of the features before the last layer


def build_network(input_size: tuple[int, int], class_count: int, settings: Training) -> keras.Model:
    """Build the network named in the settings.

    The head is a 1 × 1 convolution followed by global average pooling, so that a logit is the mean of its class
    activation map (Zhou et al. 2016) and the maps are available at no extra cost. The layer `features` is the
    embedding: one vector for each position, except for the network "plain", which has a single vector and no class
    maps.

    Args:
        input_size: (height, width) in pixels.
        class_count: number of logits.
        settings: uses `network`, `weights`, `widths` and `dropout`.

    Returns:
        A functional model that maps pixels (batch, height, width, 3), uint8 or float in [0, 255], to logits
        (batch, class_count), float32.

    Raises:
        TrainingError: the network is unknown, or its weights cannot be loaded.
    """
    pixels = keras.Input((*input_size, 3), dtype="uint8", name="pixels")
    if settings.network == PLAIN:
        x = plain_features(layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels))
        x = layers.Dropout(settings.dropout, name="dropout")(x)
        return keras.Model(pixels, layers.Dense(class_count, dtype="float32", name="logits")(x), name=NETWORK)
    if settings.network == RESIDUAL:
        x = residual_features(layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels), settings.widths)
    else:
        x = backbone_features(settings.network, pixels, settings.weights)
        x = layers.Activation("linear", name="features")(x)
    x = layers.SpatialDropout2D(settings.dropout, name="dropout")(x)
    x = layers.Conv2D(class_count, 1, dtype="float32", name="class_maps")(x)
    return keras.Model(pixels, layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x), name=NETWORK)


def residual_features(x: Any, widths: Sequence[int]) -> Any:
    """Build a residual network (He et al. 2016) for small pictures.

    The stem is a 5 × 5 convolution with stride 2. Each stage is one residual block of two 3 × 3 convolutions; every
    stage but the first halves the size.

    Args:
        x: pixels as a Keras tensor (batch, height, width, 3), float in [-1, 1].
        widths: channels of the stem and of each stage.

    Returns:
        Features (batch, rows, columns, `EMBEDDING`), float, not negative.
    """
    x = _convolution(x, widths[0], kernel=5, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, width in enumerate(widths[1:], start=1):
        x = _block(x, width, strides=1 if stage == 1 else 2, name=f"stage{stage}")
    x = _convolution(x, EMBEDDING, kernel=1, strides=1, name="embed")
    return layers.ReLU(name="features")(x)


def multiply_adds(network: keras.Model) -> int:
    """Return the number of multiply-adds of one inference in the convolutional and dense layers."""
    total = 0
    for layer in network.layers:
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        if kernels:
            places = np.prod(layer.output.shape[1:-1], dtype=int)
            total += int(sum(np.prod(kernel.shape, dtype=int) for kernel in kernels) * places)
    return total


def _convolution(x: Any, width: int, kernel: int, strides: int, name: str) -> Any:
    x = layers.Conv2D(
        width,
        kernel,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def _block(x: Any, width: int, strides: int, name: str) -> Any:
    shortcut = x
    if strides != 1 or x.shape[-1] != width:
        shortcut = _convolution(x, width, kernel=1, strides=strides, name=f"{name}_shortcut")
    x = _convolution(x, width, kernel=3, strides=strides, name=f"{name}_first")
    x = layers.ReLU(name=f"{name}_first_relu")(x)
    x = _convolution(x, width, kernel=3, strides=1, name=f"{name}_second")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)
