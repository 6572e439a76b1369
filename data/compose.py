"""Compose training crops for a detector: parts of scenes, with classification examples pasted in.

A few hundred scenes show each class in few places and light; pasting adds thousands of other photographs of signs. A
pasted example either has soft edges in the shape of its class, which the task's extension draws, or keeps its margin,
like a picture within a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from data.images import Box, Boxes, Pixels
from data.training_settings import DetectorTraining

COMPOSER_VERSION = 1  # raise it with every change that alters the crops, so that older trainings do not resume
MIN_SIDE = 9.0  # pixels; smaller signs in a crop are neither signs nor background
MIN_VISIBLE = 0.6  # share of a sign that must be inside the crop; others are neither signs nor background
SHOWN = 0.7  # share of the scene crops that are placed around a labelled sign
PLAIN = 0.15  # share of the crops without a scene
RECTANGULAR = 0.25  # share of the pasted photographs that keep their margin
STACKED = 0.3  # share of the pasted examples that get another one directly below or beside them
DARKEST = 35.0  # mean of a pasted sign's samples; many photographs are darker, and nobody could read them at this size
ZOOM = (0.35, 4.5)  # smallest and largest scale of a scene in a crop; a close look magnifies a sign of 14 px as much

Edges = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Cutout:
    """An example to paste.

    Attributes:
        pixels: shape (height, width, 3), uint8 in [0, 255].
        box: the sign in it, in pixels.
        mask: opacity of the pixels, shape (height, width), uint8 in [0, 255].
        drawn: whether it is a drawing.
    """

    pixels: Pixels
    box: Box
    mask: npt.NDArray[np.uint8]
    drawn: bool


@dataclass(frozen=True)
class Crop:
    """A training crop.

    Attributes:
        pixels: shape (side, side, 3), uint8 in [0, 255].
        boxes: signs, shape (n, 4), float32: left, top, right, bottom in pixels; they may reach beyond the edges.
        ignored: boxes that are neither signs nor background, shape (m, 4), float32.
        known: boxes outside of which nothing is known, so that nothing there is background, shape (k, 4), float32;
            None if all of the crop is known.
    """

    pixels: Pixels
    boxes: Boxes
    ignored: Boxes
    known: Boxes | None = None


def cut_out(pixels: Pixels, box: Box, shape: Pixels) -> Cutout:
    """Prepare a photograph for pasting, with soft edges in the shape of its class.

    Args:
        pixels: shape (height, width, 3), uint8.
        box: the sign in it, in pixels.
        shape: opacity of a drawing of the class that fills a square, shape (side, side), uint8 in [0, 255].
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    # The boxes lie tightly around the signs; a little more than the shape keeps the rim.
    grow_x, grow_y = 0.03 * (right - left), 0.03 * (bottom - top)
    size = max(2, round(right - left + 2 * grow_x)), max(2, round(bottom - top + 2 * grow_y))
    mask = Image.new("L", (width, height))
    mask.paste(
        Image.fromarray(shape).resize(size, Image.Resampling.BILINEAR), (round(left - grow_x), round(top - grow_y))
    )
    soft = mask.filter(ImageFilter.GaussianBlur(max(0.5, 0.02 * (right - left))))
    return Cutout(pixels, box, np.asarray(soft), drawn=False)


class Composer:
    """Makes training crops; the same seed always gives the same crop.

    Args:
        scenes: the scenes, each of shape (height, width, 3), uint8; their sizes may differ.
        boxes: the labelled signs, in pixels, of each scene that crops are taken from, by its index.
        photos, drawings: what can be pasted; either may be empty.
        settings: of the training.
        others: boxes that are not signs, by the index of their scene. In these scenes, nothing is known outside of
            the boxes; in all others, whatever is not a labelled sign is background.
    """

    def __init__(
        self,
        scenes: Pixels | Sequence[Pixels],
        boxes: Mapping[int, Sequence[Edges]],
        photos: Sequence[Cutout],
        drawings: Sequence[Cutout],
        settings: DetectorTraining,
        others: Mapping[int, Sequence[Edges]] = MappingProxyType({}),
    ) -> None:
        self._scenes, self._boxes, self._others = scenes, boxes, others
        self._photos, self._drawings, self._settings = photos, drawings, settings
        self._rows = [row for row in boxes if row not in others]
        self._labelled = [row for row, signs in boxes.items() if signs or others.get(row)]

    def crop(self, seed: Sequence[int]) -> Crop:
        """Compose one crop.

        Args:
            seed: integers that determine the crop, such as the training's seed, the epoch and the number of the crop.

        Returns:
            The crop, with the side in pixels that the settings give.
        """
        rng = np.random.default_rng(seed)
        side = self._settings.crop
        image, boxes, others = self._plain(rng) if rng.random() < PLAIN else self._part(rng)
        pasted: list[Edges] = []
        if others is None and (self._photos or self._drawings):
            for _ in range(rng.poisson(self._settings.pasted)):
                self._paste(image, [*boxes, *pasted], pasted, rng)
        every = np.array([*boxes, *pasted], np.float32).reshape(-1, 4)
        inside = np.clip(every, 0, side)
        area = (every[:, 2:] - every[:, :2]).prod(axis=1)
        visible = np.maximum(inside[:, 2:] - inside[:, :2], 0).prod(axis=1) / np.maximum(area, 1e-6)
        usable = (visible >= MIN_VISIBLE) & ((every[:, 2:] - every[:, :2]).min(axis=1, initial=np.inf) >= MIN_SIDE)
        known = None if others is None else np.array([*boxes, *others], np.float32).reshape(-1, 4)
        return Crop(_distort(image, rng), every[usable], every[~usable & (visible > 0)], known)

    def _plain(self, rng: np.random.Generator) -> tuple[Image.Image, list[Edges], None]:
        """Return a surface of one colour, a gradient or clouds."""
        side = self._settings.crop
        cells = int(rng.choice([1, 2, 4, 16, 64]))
        colours = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
        if rng.random() < 0.5:
            colours = np.repeat(colours[:, :, :1], 3, axis=2)
        return Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC), [], None

    def _part(self, rng: np.random.Generator) -> tuple[Image.Image, list[Edges], list[Edges] | None]:
        """Return a part of a scene at a random scale, with the boxes of all its signs.

        If nothing is known about the rest of the scene, also return its other labelled boxes, else None.
        """
        side, (smallest, largest) = self._settings.crop, self._settings.sizes
        target = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
        if self._labelled and rng.random() < SHOWN:
            row = int(rng.choice(self._labelled))
            known = [*self._boxes[row], *self._others.get(row, ())]
            left, top, right, bottom = known[int(rng.integers(len(known)))]
            # What people send may show a sign from nearby; it is reduced until it has the size that is wanted.
            least = 0.0 if row in self._others else ZOOM[0]
            zoom = float(np.clip(target / max(right - left, bottom - top), least, ZOOM[1]))
            height, width = self._scenes[row].shape[:2]
            extent = min(side / zoom, height, width)
            x = _place(left, right, extent, rng)
            y = _place(top, bottom, extent, rng)
        else:
            row = self._rows[int(rng.integers(len(self._rows)))]
            height, width = self._scenes[row].shape[:2]
            extent = min(side / float(np.exp(rng.uniform(*np.log(ZOOM)))), height, width)
            x, y = rng.uniform(0, width - extent), rng.uniform(0, height - extent)
        x, y = min(max(x, 0.0), width - extent), min(max(y, 0.0), height - extent)
        # Only the part is copied: the scenes are mapped from a file.
        first_x, first_y = int(x), int(y)
        part = np.asarray(self._scenes[row][first_y : int(y + extent) + 2, first_x : int(x + extent) + 2])
        frame = (
            x - first_x,
            y - first_y,
            min(x - first_x + extent, part.shape[1]),
            min(y - first_y + extent, part.shape[0]),
        )
        image = Image.fromarray(part).resize((side, side), Image.Resampling.BILINEAR, box=frame)
        zoom = side / extent

        def in_crop(boxes: Sequence[Edges]) -> list[Edges]:
            return [
                ((left - x) * zoom, (top - y) * zoom, (right - x) * zoom, (bottom - y) * zoom)
                for left, top, right, bottom in boxes
            ]

        boxes = in_crop(self._boxes[row])
        if row in self._others:
            return image, boxes, in_crop(self._others[row])
        if not boxes and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image, boxes, None

    def _paste(
        self,
        image: Image.Image,
        taken: Sequence[Sequence[float]],
        pasted: list[Edges],
        rng: np.random.Generator,
    ) -> None:
        """Paste an example where no sign is, and sometimes a second one next to it."""
        side = self._settings.crop
        largest = min(self._settings.sizes[1], 0.9 * side)
        target = np.exp(rng.uniform(np.log(self._settings.sizes[0]), np.log(largest)))
        occupied = [*taken]
        place: tuple[float, float] | None = None
        for _ in range(2):
            drawing = bool(self._drawings) and (not self._photos or rng.random() < self._settings.drawn)
            cutouts = self._drawings if drawing else self._photos
            piece, opacity, box = _transform(cutouts[int(rng.integers(len(cutouts)))], target, rng)
            sign = box[2] - box[0], box[3] - box[1]
            x, y = place or tuple(rng.uniform(-0.2 * extent, side - 0.8 * extent) for extent in sign)
            new = (x, y, x + sign[0], y + sign[1])
            if any(_overlap(new, other) for other in occupied):
                return
            image.paste(piece, (round(x - box[0]), round(y - box[1])), opacity)
            x, y = round(x - box[0]) + box[0], round(y - box[1]) + box[1]
            pasted.append((x, y, x + sign[0], y + sign[1]))
            occupied.append(pasted[-1])
            if rng.random() > STACKED:
                return
            gap = 1 + rng.uniform(0, 0.25) * target
            place = (x, y + sign[1] + gap) if rng.random() < 0.75 else (x + sign[0] + gap, y)


def _transform(cutout: Cutout, target: float, rng: np.random.Generator) -> tuple[Image.Image, Image.Image, Edges]:
    """Return an example with random light, rotation and stretch, its opacity, and the box of the sign in it."""
    left, top, right, bottom = cutout.box
    factor = target / np.sqrt((right - left) * (bottom - top))
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    across, down = factor * stretch, factor / stretch
    height, width = cutout.pixels.shape[:2]
    opacity = Image.fromarray(cutout.mask)
    image = Image.fromarray(cutout.pixels)
    if not cutout.drawn and rng.random() < RECTANGULAR:
        opacity = Image.new("L", (width, height), 255)
    elif rng.random() < 0.7:
        degrees = float(np.clip(rng.normal(0, 5), -12, 12))
        image, opacity = (each.rotate(degrees, Image.Resampling.BILINEAR) for each in (image, opacity))
    size = max(3, round(width * across)), max(3, round(height * down))
    image, opacity = (each.resize(size, Image.Resampling.BILINEAR) for each in (image, opacity))
    across, down = size[0] / width, size[1] / height
    gain = float(np.exp(rng.normal(0, 0.35))) * (0.7 if cutout.drawn else 1.0)
    lightness = float(cutout.pixels[round(top) : round(bottom), round(left) : round(right)].mean())
    gain = max(gain, DARKEST / max(lightness, 1.0))
    tint = gain * np.exp(rng.normal(0, 0.05, 3))
    lift = rng.uniform(0, 40) if rng.random() < 0.3 else 0.0
    table = np.clip(lift + (255 - lift) / 255 * np.arange(256)[None] * tint[:, None], 0, 255).astype(np.uint8)
    image = image.point(table.ravel().tolist())
    if cutout.drawn or rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.03) * target)))
    return image, opacity, (left * across, top * down, right * across, bottom * down)


def _place(low: float, high: float, extent: float, rng: np.random.Generator) -> float:
    """Return where a part of this extent may start so that it contains a sign from `low` to `high`, if it can."""
    first, last = sorted((high - extent, low))
    return float(rng.uniform(first, last))


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _distort(image: Image.Image, rng: np.random.Generator) -> Pixels:
    """Change light, colour, sharpness and noise of a whole crop."""
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    levels = np.arange(256) / 255
    gamma, contrast, brightness = (
        np.exp(rng.uniform(-0.35, 0.35)),
        np.exp(rng.uniform(-0.25, 0.25)),
        rng.uniform(-0.06, 0.1),
    )
    curves = [(levels**gamma - 0.5) * contrast * np.exp(rng.normal(0, 0.06)) + 0.5 + brightness for _ in range(3)]
    image = image.point((np.clip(np.concatenate(curves), 0, 1) * 255).round().astype(np.uint8).tolist())
    pixels = np.asarray(image)
    if rng.random() < 0.3:  # less or more colour
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = np.clip(grey + rng.uniform(0.3, 1.5) * (pixels - grey), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        noise = rng.standard_normal(pixels.shape, np.float32) * rng.uniform(2, 14)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels
