"""Data augmentation: random camera distortions as batched operations for any Keras backend.

A single projective warp covers all geometry, so that each picture is interpolated only once. Blur and loss of
resolution are one matrix multiplication per axis; so is JPEG's cosine transform, which includes the colour conversion.
Pictures are mirrored only where the task says so, because that changes the class of some objects.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops, random

from data.training_settings import Distortions

# Quantisation tables for quality 50 from the JPEG standard (ITU-T T.81, tables K.1 and K.2), and the JFIF colours.
JPEG_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
JPEG_CHROMINANCE = np.full((8, 8), 99)
JPEG_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
RGB_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


class Augment(keras.layers.Layer):
    """Distorts a batch of pictures during training; does nothing otherwise.

    The inputs are pixels (batch, height, width, 3), uint8 in [0, 255], and boxes (batch, 4), float in [0, 1]: left,
    top, right, bottom of the object as fractions of the picture. The output has the shape and type of the pixels:
    uint8, because the network gets uint8 in the service too.

    Attributes:
        distortions: limits of the distortions.
        strength: scalar weight in [0, 1] that scales angles, shifts and probabilities; may be set between epochs.
    """

    def __init__(self, distortions: Distortions, seed: int = 0, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.distortions = distortions
        self.seeds = random.SeedGenerator(seed)

    def build(self, *_: Any) -> None:
        """Create the weight `strength`."""
        self.strength = self.add_weight(name="strength", shape=(), initializer="ones", trainable=False)
        self.built = True

    def compute_output_spec(self, pixels: Any, boxes: Any, training: bool = False) -> Any:  # noqa: ARG002
        """Return the specification of the output."""
        return keras.KerasTensor(pixels.shape, dtype="uint8")

    def call(self, pixels: Any, boxes: Any, training: bool = False) -> Any:
        """Return distorted pixels if `training`, else `pixels`."""
        if not training:
            return pixels
        count = ops.shape(pixels)[0]
        x = self._warp(pixels, boxes, count)
        x = self._blur(x, count)
        x = self._noise(x, count)
        x = self._light(x, count)
        x = self._erase(x, count)
        x = self._compress(x, count)
        return ops.cast(ops.round(ops.clip(x, 0.0, 1.0) * 255.0), "uint8")

    def _uniform(self, count: Any, low: float, high: float, columns: int = 1) -> Any:
        return random.uniform((count, columns), low, high, seed=self.seeds)

    def _spread(self, count: Any, limit: float) -> Any:
        return self._uniform(count, -limit, limit) * self.strength

    def _chosen(self, count: Any, probability: float) -> Any:
        """Return 1.0 for pictures to distort and 0.0 for the others, shape (count, 1)."""
        return ops.cast(self._uniform(count, 0.0, 1.0) < probability * self.strength, "float32")

    def _warp(self, x: Any, boxes: Any, count: Any) -> Any:
        r = self.distortions
        left, top, right, bottom = ops.split(ops.cast(boxes, "float32"), 4, axis=1)
        scale = 1.0 + 2.0 * self._uniform(count, *r.margin)
        aspect = ops.exp(self._spread(count, r.aspect))
        half_width = (right - left) / 2 * scale * aspect
        half_height = (bottom - top) / 2 * scale / aspect
        half_width = half_width * (1.0 - 2.0 * self._chosen(count, r.mirror_probability))
        half_height = half_height * (1.0 - 2.0 * self._chosen(count, r.flip_probability))
        center_x = (left + right) / 2 + self._spread(count, r.shift) * (right - left)
        center_y = (top + bottom) / 2 + self._spread(count, r.shift) * (bottom - top)
        turn = random.truncated_normal((count, 1), stddev=np.radians(r.rotation_deg), seed=self.seeds)
        turn = turn * self.strength
        shear = ops.tan(self._spread(count, np.radians(r.shear_deg)))
        tilt_x, tilt_y = self._spread(count, r.perspective), self._spread(count, r.perspective)

        height, width = x.shape[1:3]
        grid_y, grid_x = (g.reshape(1, -1).astype("float32") for g in np.mgrid[0:height, 0:width])
        px, py = (2 * grid_x + 1) / width - 1, (2 * grid_y + 1) / height - 1  # the crop is [-1, 1]²
        depth = 1.0 + tilt_x * px + tilt_y * py
        sheared = px + shear * py
        u = center_x + half_width * (ops.cos(turn) * sheared - ops.sin(turn) * py) / depth
        v = center_y + half_height * (ops.sin(turn) * sheared + ops.cos(turn) * py) / depth
        return _sample(x, u * width - 0.5, v * height - 0.5, count)

    def _blur(self, x: Any, count: Any) -> Any:
        r = self.distortions
        height, width = x.shape[1:3]
        blurred = self._chosen(count, r.blur_probability)
        resolution = 1.0 - self._chosen(count, r.resolution_probability) * (1.0 - self._uniform(count, *r.resolution))
        along_y = _axis_operator(height, resolution, blurred * self._uniform(count, 0.0, r.blur))
        along_x = _axis_operator(width, resolution, blurred * self._uniform(count, 0.0, r.blur))
        return _along_axes(x, along_y, along_x)

    def _noise(self, x: Any, count: Any) -> Any:
        r = self.distortions
        contrast = ops.minimum(
            4.0 * ops.std(x, axis=(1, 2, 3), keepdims=True), 1.0
        )  # less noise for low-contrast pictures
        deviation = self._chosen(count, r.noise_probability) * self._uniform(count, 0.0, r.noise)
        return x + contrast * deviation[:, :, None, None] * random.normal(ops.shape(x), seed=self.seeds)

    def _light(self, x: Any, count: Any) -> Any:
        r = self.distortions
        height, width = x.shape[1:3]
        saturation = self._uniform(count, *r.saturation)[:, :, None]
        tint = self._uniform(count, 1 - r.tint, 1 + r.tint, columns=3)[:, None, :]
        contrast = self._uniform(count, *r.contrast)[:, :, None]
        # Saturation, tint and contrast are all linear: one matrix and one offset.
        colours = (saturation * ops.eye(3) + (1 - saturation) / 3) * tint
        pixels = ops.reshape(x, (-1, height * width, 3))
        mean = ops.mean(ops.matmul(ops.mean(pixels, axis=1, keepdims=True), colours), axis=2, keepdims=True)
        pixels = ops.matmul(pixels, colours * contrast) + (1 - contrast) * mean
        x = ops.reshape(ops.clip(pixels, 1e-3, 1.0), (-1, height, width, 3))
        gamma = self._uniform(count, *r.gamma)[:, :, None, None]
        x = ops.exp(gamma * ops.log(x))  # x ** gamma, seven times as fast as TensorFlow's pow
        return x * (self._uniform(count, *r.brightness)[:, :, None, None] * self._shadow(x, count))

    def _shadow(self, x: Any, count: Any) -> Any:
        """Return factors (batch, height, width, 1) that shade a half-plane with a soft edge."""
        r = self.distortions
        height, width = x.shape[1:3]
        grid_y, grid_x = (
            g.reshape(1, -1).astype("float32") for g in np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        )
        angle = self._uniform(count, 0.0, 2 * np.pi)
        distance = ops.cos(angle) * grid_x + ops.sin(angle) * grid_y - self._uniform(count, -0.6, 0.6)
        depth = self._chosen(count, r.shadow_probability) * (1.0 - self._uniform(count, *r.shadow))
        return ops.reshape(1.0 - depth * ops.sigmoid(distance * 12.0), (-1, height, width, 1))

    def _erase(self, x: Any, count: Any) -> Any:
        """Cover a random rectangle with a random colour, like leaves, posts or stickers."""
        r = self.distortions
        height, width = x.shape[1:3]
        grid_y, grid_x = (np.arange(n, dtype="float32")[None] / n for n in (height, width))
        side_x, side_y = self._uniform(count, *r.erase), self._uniform(count, *r.erase)
        start_x = self._uniform(count, 0.0, 1.0) * (1 - side_x)
        start_y = self._uniform(count, 0.0, 1.0) * (1 - side_y)
        inside_x = ops.cast(ops.logical_and(grid_x >= start_x, grid_x < start_x + side_x), "float32")
        inside_y = ops.cast(ops.logical_and(grid_y >= start_y, grid_y < start_y + side_y), "float32")
        inside_x = inside_x * self._chosen(count, r.erase_probability)
        mask = inside_y[:, :, None, None] * inside_x[:, None, :, None]
        return x + mask * (self._uniform(count, 0.0, 1.0, columns=3)[:, None, None, :] - x)

    def _compress(self, x: Any, count: Any) -> Any:
        """Simulate JPEG compression without chroma subsampling: quantise cosine coefficients of 8 × 8 blocks."""
        r = self.distortions
        height, width = x.shape[1:3]
        quality = self._uniform(count, *r.jpeg)
        scale = ops.where(quality < 50.0, 50.0 / quality, 2.0 - quality / 50.0)[:, :, None, None]
        steps = np.stack([JPEG_LUMINANCE, JPEG_CHROMINANCE, JPEG_CHROMINANCE], axis=2) / 255
        steps = np.tile(steps, (-(-height // 8), -(-width // 8), 1))[None, :height, :width].astype("float32")
        steps = ops.maximum(steps * scale, 1 / 255)
        # One matrix transforms columns and colours of a row of pixels, which avoids transposing.
        along_y, along_x = _cosines(height), np.kron(_cosines(width).T, RGB_TO_YCC.T)
        rows = ops.reshape(ops.clip(x, 0.0, 1.0) - 0.5, (-1, len(along_x)))
        columns = ops.reshape(ops.matmul(rows, along_x), (-1, len(along_y), width * 3))
        coefficients = ops.reshape(ops.matmul(along_y, columns), (-1, height, width, 3))
        coefficients = ops.reshape(ops.round(coefficients / steps) * steps, (-1, len(along_y), width * 3))
        rows = ops.reshape(ops.matmul(along_y.T, coefficients), (-1, len(along_x)))
        lossy = ops.reshape(ops.matmul(rows, np.linalg.inv(along_x)) + 0.5, (-1, height, width, 3))
        return x + self._chosen(count, r.jpeg_probability)[:, :, None, None] * (lossy - x)


def _cosines(length: int) -> npt.NDArray[np.float32]:
    """Return the orthogonal matrix of the cosine transform of blocks of 8.

    Shape (8, 8) if the length is a multiple of 8, otherwise (length, length), with a shorter last block.
    """
    length = length if length % 8 else 8
    matrix = np.zeros((length, length), np.float32)
    for start in range(0, length, 8):
        size = min(8, length - start)
        order, place = np.mgrid[:size, :size]
        block = np.cos(np.pi * order * (2 * place + 1) / (2 * size)) * np.sqrt(2 / size)
        block[0] /= np.sqrt(2)
        matrix[start : start + size, start : start + size] = block
    return matrix


def _along_axes(x: Any, along_y: Any, along_x: Any) -> Any:
    """Apply one matrix per picture along the height and one along the width of (n, height, width, 3)."""
    height, width = x.shape[1:3]
    x = ops.matmul(along_y, ops.reshape(x, (-1, height, width * 3)))
    x = ops.transpose(ops.reshape(x, (-1, height, width, 3)), (0, 2, 1, 3))
    x = ops.matmul(along_x, ops.reshape(x, (-1, width, height * 3)))
    return ops.transpose(ops.reshape(x, (-1, width, height, 3)), (0, 2, 1, 3))


def _sample(x: Any, u: Any, v: Any, count: Any) -> Any:
    """Sample pictures bilinearly.

    Args:
        x: pictures (batch, height, width, 3), uint8.
        u: columns of the samples (batch, height · width); the border pixels extend outwards.
        v: rows of the samples, with the shape of `u`.
        count: number of pictures.

    Returns:
        Samples (batch, height, width, 3), float32 in [0, 1].
    """
    height, width = x.shape[1:3]
    u, v = ops.clip(u, 0.0, width - 1.001), ops.clip(v, 0.0, height - 1.001)
    column, row = ops.floor(u), ops.floor(v)
    across, down = (u - column)[..., None], (v - row)[..., None]
    start = ops.cast(ops.arange(count), "int32")[:, None] * (height * width)
    index = start + ops.cast(row, "int32") * width + ops.cast(column, "int32")
    flat = ops.reshape(x, (-1, 3))
    # Put the four neighbours side by side: one lookup of twelve bytes is faster than four of three bytes or of floats.
    around = ops.concatenate([flat, *(ops.roll(flat, -offset, axis=0) for offset in (1, width, width + 1))], axis=1)
    neighbours = ops.split(ops.take(around, index, axis=0), 4, axis=2)
    upper_left, upper_right, lower_left, lower_right = (ops.cast(each, "float32") for each in neighbours)
    upper = upper_left + (upper_right - upper_left) * across
    lower = lower_left + (lower_right - lower_left) * across
    return ops.reshape((upper + (lower - upper) * down) / 255.0, (-1, height, width, 3))


def _axis_operator(length: int, resolution: Any, smear: Any) -> Any:
    """Return matrices (batch, length, length) that blur along an axis, downsample and upsample again.

    Args:
        length: length of the axis in pixels.
        resolution: remaining share of the resolution, (batch, 1) in (0, 1].
        smear: length of the box blur as a fraction of the axis, (batch, 1) in [0, 1).
    """
    position = np.arange(length, dtype="float32")
    resolution, smear = resolution[:, :, None], smear[:, :, None]
    reach = smear * length / 2 + 0.5
    box = ops.clip(reach + 0.5 - ops.abs(position[None, :, None] - position[None, None, :]), 0.0, 1.0)
    centers = (
        position[None, :, None] + 0.5
    ) / resolution - 0.5  # of the coarse pixels; those beyond the end are unused
    distance = ops.abs(centers - position[None, None, :]) * resolution
    shrink = ops.maximum(1.0 - distance, 0.0)
    enlarge = ops.transpose(shrink, (0, 2, 1))
    return ops.matmul(_normalized(enlarge), ops.matmul(_normalized(shrink), _normalized(box)))


def _normalized(weights: Any) -> Any:
    return weights / ops.maximum(ops.sum(weights, axis=2, keepdims=True), 1e-6)
