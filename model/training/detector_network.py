"""The detector's network: in one fully convolutional pass, a heat map of sign centres with a box in each grid cell."""

from typing import Any

import keras
from keras import layers

from data.training_settings import DetectorTraining

DETECTOR = "detector"  # name of the Keras model
PRIOR_LOGIT = -4.6  # initial logit of the heat map: 1% (Lin et al. 2017)


def build_detector(settings: DetectorTraining) -> keras.Model:
    """Build the network: a residual encoder down to stride 32, and a decoder that adds its features up to stride 8.

    Returns:
        A functional model that maps pixels (batch, height, width, 3), uint8 in [0, 255], with sides that are multiples
        of 32, to (batch, height / 8, width / 8, 5), float32, with one grid cell for every 8 × 8 pixels: the logit that
        a sign has its centre in the cell; the offset of the centre from the middle of the cell, right and down, in
        strides; and the logarithms of width and height in units of 4 strides, 32 pixels.
    """
    two, four, eight, sixteen, thirty_two = settings.widths
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(pixels)
    x = _convolution(x, two, 3, 2, "stem2")
    x = _convolution(x, four, 3, 2, "stem4")
    features = []
    for stride, width, blocks in zip((8, 16, 32), (eight, sixteen, thirty_two), settings.blocks, strict=True):
        x = _convolution(x, width, 3, 2, f"down{stride}")
        for number in range(blocks):
            x = _block(x, width, f"stage{stride}_{number}")
        features.append(x)
    for stride, width, skipped in ((16, sixteen, features[1]), (8, eight, features[0])):
        x = _convolution(x, width, 1, 1, f"up{stride}")
        x = layers.UpSampling2D(2, name=f"up{stride}_double")(x)
        x = layers.Add(name=f"up{stride}_add")([x, skipped])
    x = _convolution(x, settings.head, 3, 1, "head")
    bias = keras.initializers.Constant(PRIOR_LOGIT)
    heat = layers.Conv2D(1, 1, bias_initializer=bias, dtype="float32", name="heat")(x)
    shape = layers.Conv2D(
        4, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), dtype="float32", name="shape"
    )(x)
    return keras.Model(pixels, layers.Concatenate(name="places", dtype="float32")([heat, shape]), name=DETECTOR)


def _convolution(x: Any, width: int, kernel: int, strides: int, name: str) -> Any:
    x = _normalised(x, width, kernel, strides, name)
    return layers.ReLU(name=f"{name}_relu")(x)


def _normalised(x: Any, width: int, kernel: int, strides: int, name: str) -> Any:
    x = layers.Conv2D(
        width, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def _block(x: Any, width: int, name: str) -> Any:
    y = _convolution(x, width, 3, 1, f"{name}_first")
    y = _normalised(y, width, 3, 1, f"{name}_second")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
