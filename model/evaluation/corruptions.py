"""Twelve corruptions with five severities each, to evaluate robustness on small pictures.

Modelled on ImageNet-C (Hendrycks & Dietterich 2019); lengths scale with the picture's width. Shot noise, impulse
noise, pixelation, fog and rain are not among the training distortions of `model.training.augment`.
"""

import io
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.signal import fftconvolve

from data.images import Indices, Pixels, decode
from data.pictures import Pictures

Values = npt.NDArray[np.floating]  # in [0, 1]

SEVERITIES: Final = (1, 2, 3, 4, 5)


def corrupt(pixels: Pixels, name: str, severity: int, seed: int = 0) -> Pixels:
    """Corrupt pictures.

    Args:
        pixels: shape (n, height, width, 3), uint8 in [0, 255].
        name: a key of `CORRUPTIONS`.
        severity: from 1 to 5.
        seed: makes the result reproducible.

    Returns:
        Corrupted pixels with the shape and type of `pixels`.
    """
    change, strengths = CORRUPTIONS[name]
    values = pixels.astype(np.float32) / 255
    changed = change(values, strengths[severity - 1], np.random.default_rng((seed, severity)))
    return np.asarray(np.clip(changed, 0, 1) * 255).round().astype(np.uint8)


def corrupt_mildly(pixels: Pictures, seed: int = 0, each: int = 500) -> Iterator[tuple[Pixels, Indices]]:
    """Apply every corruption with severity 1 or 2 to random examples.

    Args:
        pixels: n examples.
        seed: makes the result reproducible.
        each: number of examples per corruption; all if there are fewer.

    Yields:
        For each corruption, corrupted pixels, shape (m, height, width, 3), uint8, and the index of the example that
        each comes from, shape (m,).
    """
    rng = np.random.default_rng(seed)
    for number, name in enumerate(CORRUPTIONS):
        rows = rng.permutation(len(pixels))[:each]
        yield corrupt(pixels[rows], name, 1 + number % 2, seed), rows


def _gaussian_noise(x: Values, deviation: float, rng: np.random.Generator) -> Values:
    return x + np.float32(deviation) * rng.standard_normal(x.shape, np.float32)


def _shot_noise(x: Values, photons: float, rng: np.random.Generator) -> Values:
    return (rng.poisson(x * photons) / photons).astype(np.float32)


def _impulse_noise(x: Values, share: float, rng: np.random.Generator) -> Values:
    hit = rng.random(x.shape[:3], np.float32)[..., None]
    return np.where(hit < share / 2, 0, np.where(hit < share, 1, x)).astype(np.float32)


def _defocus(x: Values, radius: float, rng: np.random.Generator) -> Values:  # noqa: ARG001
    height, width = x.shape[1:3]
    y, z = np.mgrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2]
    return _filtered(x, np.clip(radius * width + 0.5 - np.hypot(y, z), 0, 1))


def _motion(x: Values, length: float, rng: np.random.Generator) -> Values:
    """Apply motion blur in a random direction to each picture."""
    height, width = x.shape[1:3]
    y, z = np.mgrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2]
    angle = rng.uniform(0, np.pi, (len(x), 1, 1))
    along = np.abs(np.cos(angle) * z + np.sin(angle) * y)
    across = np.abs(np.cos(angle) * y - np.sin(angle) * z)
    return _filtered(x, np.clip(length * width / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1))


def _filtered(x: Values, kernel: npt.NDArray[np.float64]) -> Values:
    """Convolve pictures with one normalised kernel, or one for each, after mirroring their borders.

    Args:
        x: shape (n, height, width, 3).
        kernel: shape (height, width) or (n, height, width), not negative; its centre is (height // 2, width // 2).
    """
    height, width = x.shape[1:3]
    before, after = ((height - 1) // 2, (width - 1) // 2), (height // 2, width // 2)
    padded = np.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)), mode="symmetric")
    kernel = (kernel / kernel.sum(axis=(-2, -1), keepdims=True)).reshape(-1, height, width, 1).astype(np.float32)
    return np.asarray(fftconvolve(padded, kernel, mode="valid", axes=(1, 2)))


def _jpeg(x: Values, quality: float, rng: np.random.Generator) -> Values:  # noqa: ARG001
    def through(picture: Values) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=int(quality))
        return decode(buffer.getvalue(), picture.shape[:2])

    return np.stack([through(picture) for picture in x]).astype(np.float32) / 255


def _pixelation(x: Values, block: float, rng: np.random.Generator) -> Values:  # noqa: ARG001
    """Replace blocks of pixels by their mean; `block` is the side of a block in pixels, at a width of 48 pixels."""
    height, width = x.shape[1:3]
    side = block * width / 48
    rows, columns = (np.arange(n) // side for n in (height, width))
    along_y, along_x = (_means(np.asarray(index)) for index in (rows, columns))
    return np.asarray(np.einsum("ij,njkc,lk->nilc", along_y, x, along_x, optimize=True))


def _means(index: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    same = (index[:, None] == index[None, :]).astype(float)
    return np.asarray(same / same.sum(axis=1, keepdims=True))


def _contrast(x: Values, left: float, rng: np.random.Generator) -> Values:  # noqa: ARG001
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(mean + (x - mean) * left)


def _brightness(x: Values, shift: float, rng: np.random.Generator) -> Values:
    """Make about half of the pictures brighter and the others darker."""
    sign = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, 1.0, -1.0)
    return np.where(sign > 0, x + shift, x * (1 - 1.8 * shift)).astype(np.float32)


def _fog(x: Values, density: float, rng: np.random.Generator) -> Values:
    """Blend pictures with white fog of uneven density."""
    height, width = x.shape[1:3]
    cells = rng.random((len(x), 4, 4)).astype(np.float32)
    y, z = (np.linspace(0, 3, n) for n in (height, width))
    veil = np.einsum("iy,nyz,jz->nij", _tents(y), cells, _tents(z), optimize=True)[..., None]
    thick = density * (0.7 + 0.6 * veil)
    return np.asarray(x * (1 - thick) + 0.85 * thick)


def _tents(position: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.clip(1 - np.abs(position[:, None] - np.arange(4)[None]), 0, 1))


def _rain(x: Values, share: float, rng: np.random.Generator) -> Values:
    """Darken pictures and overlay slanted bright streaks; `share` is the share of pixels where a streak begins."""
    height, width = x.shape[1:3]
    drops = (rng.random((len(x), height, width)) < share).astype(np.float32)
    streaks = np.zeros_like(drops)
    for step in range(max(2, width // 8)):
        streaks = np.maximum(streaks, np.roll(drops, (step, -step // 3), (1, 2)))
    return np.asarray(x * (1 - 2 * share) * (1 - 0.6 * streaks[..., None]) + 0.6 * 0.8 * streaks[..., None])


def _occlusion(x: Values, area: float, rng: np.random.Generator) -> Values:
    """Cover a disc with dark texture, like leaves in front of the object; `area` is its share of the picture."""
    height, width = x.shape[1:3]
    y, z = np.mgrid[0:height, 0:width]
    center_y, center_z = (rng.uniform(0.15, 0.85, (len(x), 1, 1)) * n for n in (height, width))
    inside = (np.hypot(y - center_y, z - center_z) < np.sqrt(area / np.pi) * width)[..., None]
    texture = rng.uniform(0.05, 0.5, (len(x), 1, 1, 3)) * rng.uniform(0.6, 1.4, (len(x), height, width, 1))
    return np.where(inside, texture, x).astype(np.float32)


Change = Callable[[Values, float, np.random.Generator], Values]
CORRUPTIONS: Final[dict[str, tuple[Change, tuple[float, ...]]]] = {
    "gaussian noise": (_gaussian_noise, (0.03, 0.05, 0.08, 0.11, 0.15)),
    "shot noise": (_shot_noise, (200.0, 100.0, 50.0, 25.0, 12.0)),
    "impulse noise": (_impulse_noise, (0.01, 0.025, 0.05, 0.08, 0.12)),
    "defocus": (_defocus, (0.015, 0.025, 0.035, 0.05, 0.065)),
    "motion": (_motion, (0.05, 0.08, 0.12, 0.16, 0.20)),
    "jpeg": (_jpeg, (40.0, 25.0, 15.0, 10.0, 7.0)),
    "pixelation": (_pixelation, (1.5, 2.0, 2.5, 3.0, 4.0)),
    "contrast": (_contrast, (0.6, 0.45, 0.3, 0.2, 0.12)),
    "brightness": (_brightness, (0.1, 0.18, 0.26, 0.34, 0.42)),
    "fog": (_fog, (0.3, 0.42, 0.54, 0.66, 0.76)),
    "rain": (_rain, (0.004, 0.008, 0.014, 0.022, 0.032)),
    "occlusion": (_occlusion, (0.03, 0.06, 0.10, 0.15, 0.20)),
}
