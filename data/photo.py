"""A decoded photo, and views of its parts."""

import io
import math
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.conversion import cut, flatten
from data.errors import BoxError

PREVIEW_QUALITY = 85  # of a JPEG for people to look at; no network sees it


class Photo:
    """A decoded, upright picture in memory, whose parts can be looked at without decoding it again.

    Made by `data.images.Picture.decode_photo`.

    Attributes:
        height, width: size in pixels at full resolution; boxes are in these pixels.
        scale: decoded pixels per pixel of the full resolution along each side, in (0, 1].
    """

    def __init__(self, image: Image.Image, size: tuple[int, int]) -> None:
        self._image = image
        self.height, self.width = size
        self.scale = image.width / self.width

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The decoded picture; shape (rows, columns, 3), uint8 in [0, 255], transparent pixels on white."""
        return np.asarray(flatten(self._image))

    def resize(
        self, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return the picture or a part of it, stretched to a size with the same filter as `data.images.decode`.

        At the full resolution, a box in whole pixels gives the same pixels as `data.images.decode`.

        Args:
            size: (height, width) of the result.
            box: left, top, right, bottom in pixels at full resolution; None takes the whole picture. It may be
                fractional and may reach beyond the edges, whose pixels are then repeated.

        Returns:
            shape (height, width, 3), uint8 in [0, 255].

        Raises:
            BoxError: the box is empty or not finite.
        """
        target = size[1], size[0]
        if box is None:
            return np.asarray(flatten(self._image.resize(target, Image.Resampling.BILINEAR)))
        across, down = self._image.width / self.width, self._image.height / self.height
        left, top, right, bottom = box[0] * across, box[1] * down, box[2] * across, box[3] * down
        if not (all(map(math.isfinite, box)) and left < right and top < bottom):
            raise BoxError(f"the box {box} is empty: left must be < right and top must be < bottom")
        # Cut first, so that the filter sees nothing beyond the box, as in `decode`.
        start, end = (math.floor(left), math.floor(top)), (math.ceil(right), math.ceil(bottom))
        part = cut(self._image, *start, *end)
        inside = left - start[0], top - start[1], right - start[0], bottom - start[1]
        return np.asarray(flatten(part.resize(target, Image.Resampling.BILINEAR, inside)))

    def reduce(self, factor: int) -> npt.NDArray[np.uint8]:
        """Return the picture reduced by a whole number, faster than `resize`; each pixel is the mean of a square.

        Args:
            factor: decoded pixels per pixel of the result along each side; at least 1. Sides are rounded up.

        Returns:
            shape (height, width, 3), uint8 in [0, 255].
        """
        return self.pixels if factor == 1 else np.asarray(flatten(self._image.reduce(factor)))

    def preview(self, max_side: int) -> bytes:
        """Return the whole picture as a JPEG file without metadata, reduced to this longer side in pixels if larger."""
        factor = min(1.0, max_side / max(self._image.size))
        width, height = (max(1, round(side * factor)) for side in self._image.size)
        image = flatten(self._image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2))
        image.info.clear()
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=PREVIEW_QUALITY)
        return buffer.getvalue()
