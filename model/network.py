"""The classifier's network: uint8 pixels in, logits out, scaling inside."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def build_network(
    input_size: tuple[int, int],
    class_count: int,
    widths: Sequence[int] = (32, 64, 128, 256),
    embedding: int = 128,
    dropout: float = 0.3,
) -> keras.Model:
    """Build a residual network (He et al. 2016) for small pictures, with random weights.

    A 5 × 5 convolution halves the picture; each further width is a stage at half the size of the one before, with
    one residual block of two 3 × 3 convolutions (the first stage keeps its size). The head embeds each place, maps
    it linearly to the classes and averages over space, so that a logit is the mean of its class activation map (Zhou
    et al. 2016) and the map costs nothing more.

    Args:
        input_size: (height, width) in pixels.
        class_count: number of logits.
        widths: channels of the stem and of each stage.
        embedding: channels of the features before the last layer.
        dropout: share of the embedding dropped while training, in [0, 1).

    Returns:
        A flat functional model: uint8 or float (batch, height, width, 3) in [0, 255] → logits (batch, class_count),
        float32.
    """
    inputs = keras.Input((*input_size, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(inputs)
    x = _convolution(x, widths[0], kernel=5, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, width in enumerate(widths[1:], start=1):
        x = _block(x, width, strides=1 if stage == 1 else 2, name=f"stage{stage}")
    x = _convolution(x, embedding, kernel=1, strides=1, name="embed")
    x = layers.ReLU(name="features")(x)
    x = layers.SpatialDropout2D(dropout, name="dropout")(x)
    x = layers.Conv2D(class_count, 1, dtype="float32", name="class_maps")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x), name="sign_network")


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
