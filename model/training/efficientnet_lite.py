"""EfficientNet-Lite0, a backbone for small devices that keras.applications does not have."""

from typing import Any

from keras import layers

INPUT_SCALE, INPUT_OFFSET = 1 / 128, -127 / 128  # (x − 127) / 128, as in its training
STEM, HEAD = 32, 1280  # channels of the first and of the last convolution
EPSILON = 1e-3  # of batch normalisation
STAGES = (  # of EfficientNet-B0 (Tan & Le 2019): expansion, side of the kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def efficientnet_lite0(pixels: Any) -> Any:
    """Apply EfficientNet-Lite0 without its pooling and classifier.

    It differs from EfficientNet-B0 (Tan & Le 2019) in that it has ReLU6 instead of swish and no
    squeeze-and-excitation. Layers have the names that weight files use: `stem_conv`, `stem_bn`,
    `block{0..15}_{expand,expand_bn,depthwise,depthwise_bn,project,project_bn}`, `head_conv`, `head_bn`; block 0 has no
    expansion. Except for batch normalisation, each has one weight, `kernel`: (rows, columns, inputs, outputs), of a
    depthwise convolution (rows, columns, channels, 1).

    Args:
        pixels: a Keras tensor (batch, height, width, 3) in [0, 255].

    Returns:
        Features (batch, height / 32, width / 32, 1280), rounded up, in [0, 6].
    """
    x = layers.Rescaling(INPUT_SCALE, offset=INPUT_OFFSET, name="scale")(pixels)
    x = _activated(_convolution(x, STEM, 3, 2, "stem_conv", "stem_bn"), "stem_relu")
    number = 0
    for expansion, kernel, stride, channels, blocks in STAGES:
        for block in range(blocks):
            x = _block(x, expansion, kernel, stride if block == 0 else 1, channels, f"block{number}")
            number += 1
    return _activated(_convolution(x, HEAD, 1, 1, "head_conv", "head_bn"), "head_relu")


def _block(x: Any, expansion: int, kernel: int, stride: int, channels: int, name: str) -> Any:
    """Apply an inverted residual block (Sandler et al. 2018)."""
    y = x
    if expansion > 1:
        y = _convolution(y, expansion * x.shape[-1], 1, 1, f"{name}_expand", f"{name}_expand_bn")
        y = _activated(y, f"{name}_expand_relu")
    y = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_depthwise_bn")(y)
    y = _activated(y, f"{name}_depthwise_relu")
    y = _convolution(y, channels, 1, 1, f"{name}_project", f"{name}_project_bn")
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


def _convolution(x: Any, channels: int, kernel: int, stride: int, name: str, normalisation: str) -> Any:
    x = layers.Conv2D(
        channels, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.BatchNormalization(epsilon=EPSILON, name=normalisation)(x)


def _activated(x: Any, name: str) -> Any:
    return layers.ReLU(max_value=6.0, name=name)(x)
