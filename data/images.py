"""From bytes to pixels: the only decoder and resizer in the project; and from pixels to bytes, to show them.

Training, serving and evaluation all come through `decode`, so a network sees at serving time what it was
trained on. Whatever changes the pixels that come out must raise `DECODER_VERSION`.
"""

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.errors import BoxError, ImageError

DECODER_VERSION = 1
MEDIA_TYPES = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/x-portable-pixmap": "PPM",
}
FORMATS = tuple(MEDIA_TYPES.values())
SEVERAL_JPEGS = "MPO"  # what Pillow calls a JPEG with further ones behind it, as many telephones write
MAX_BYTES = 20 * 1024 * 1024  # a 50-megapixel JPEG of a telephone is about 15 MB
MAX_PIXELS = 64_000_000  # 192 MB as RGB; the largest common telephone sensors give 48 to 50 million
LARGE_PIXELS = 10_000_000  # 40 MB as RGBA
MIN_SIDE = 8  # below this no sign can be told from another; GTSRB's smallest image is 25 wide
MAX_SCANS = 64  # of a JPEG, each of which may touch all pixels; encoders write up to about twenty
GROUND = (255, 255, 255)  # under transparent pixels: what picture viewers show
DRAFT_FACTOR = 4  # JPEGs are decoded at a reduced scale only if still this much larger than the target

# Our own limit is checked on the header, before any pixel is decoded; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None

# What Pillow raises on damaged files. Half a million of them raised the first five; the others are what reading a
# hostile structure may come to.
_DAMAGED = (
    OSError, ValueError, SyntaxError, struct.error, zlib.error,
    EOFError, IndexError, KeyError, TypeError, OverflowError,
)  # fmt: skip
_ORIENTATION = 0x0112  # the EXIF tag, and what makes each of its values upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = {5, 6, 7, 8}  # the orientations that swap width and height
_one_large_picture = threading.Lock()

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom excluded


class Picture:
    """One picture whose header has been read and found fit to decode; no pixel has been decoded yet.

    Attributes:
        height, width: in pixels, as the file holds them, before EXIF orientation.
        extension: of a file in this format, such as ".png".

    Raises:
        ImageError: empty, not one of the formats, damaged, too large or too small.
    """

    def __init__(self, payload: bytes) -> None:
        self._image = _open(payload)
        self.width, self.height = self._image.size
        kind = "JPEG" if self._image.format == SEVERAL_JPEGS else str(self._image.format)
        self.extension = f".{kind.lower()}"

    def upright_size(self) -> tuple[int, int]:
        """Return (height, width) in pixels with EXIF orientation applied.

        Raises:
            ImageError: the orientation cannot be read.
        """
        with _damage_named():  # a PNG may hold its orientation behind the pixels
            turned = self._image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
        return (self.width, self.height) if turned else (self.height, self.width)

    def decode(self, size: tuple[int, int], box: Box | None = None) -> npt.NDArray[np.uint8]:
        """Decode the picture, once, as the function `decode` says.

        Raises:
            ImageError: damaged or truncated.
            BoxError: the box does not lie inside the picture, or one of its sides is shorter than `MIN_SIDE`.
        """
        height, width = size
        # A box is given in pixels of the full resolution, so that is what must be decoded.
        if box is None and self._image.format == "JPEG" and min(self._image.size) >= DRAFT_FACTOR * max(size):
            self._image.draft(None, (DRAFT_FACTOR * width, DRAFT_FACTOR * height))
        with self._in_turn():
            part = self._part(box)
            with _damage_named():
                # The ground comes after the size, so that it need not be as large as the picture.
                return np.asarray(_on_ground(part.resize((width, height), Image.Resampling.BILINEAR)))

    def cut(self, box: Box) -> bytes:
        """Return a PNG file of a part, without a loss: it decodes to the same pixels as the part does.

        Orientation and transparency are as `decode` has them; nothing else that the file said goes along.

        Raises:
            ImageError, BoxError: as for `decode`.
        """
        with self._in_turn():
            part = self._part(box)
            part.info.clear()
            buffer = io.BytesIO()
            part.save(buffer, "PNG", compress_level=1)  # a large part would take ten times as long otherwise
        return buffer.getvalue()

    def _in_turn(self) -> AbstractContextManager[object]:
        large = self._image.width * self._image.height > LARGE_PIXELS
        return _one_large_picture if large else nullcontext()

    def _part(self, box: Box | None) -> Image.Image:
        """Decode the picture, upright and in 8 bits, and cut the box out."""
        with _damage_named():
            self._image.load()
            upright = _UPRIGHT.get(self._image.getexif().get(_ORIENTATION, 1))
            image = _plain(self._image)
            if upright is not None:
                image = image.transpose(upright)
        if box is None:
            return image
        left, top, right, bottom = box
        whole = f"the picture of {image.width:,} × {image.height:,} pixels"
        if left >= right or top >= bottom:
            raise BoxError(
                f"the box {left},{top},{right},{bottom} holds nothing: it wants left < right and top < bottom"
            )
        if not lies_inside(box, (image.height, image.width)):
            raise BoxError(f"the box {left},{top},{right},{bottom} does not lie inside {whole}")
        if min(right - left, bottom - top) < MIN_SIDE:
            extent = f"{right - left} × {bottom - top}"
            raise BoxError(f"the box has {extent} of {whole}; each side must have {MIN_SIDE} at least")
        return image.crop(box)


def decode(payload: bytes, size: tuple[int, int], box: Box | None = None) -> npt.NDArray[np.uint8]:
    """Decode one picture to RGB pixels of a given size.

    EXIF orientation is applied; transparent pixels are laid on `GROUND`; 16-bit samples are scaled to 8;
    grey, palette and CMYK become RGB; of an animation the first frame counts; colour profiles are ignored.
    The picture is stretched to `size` by Pillow's antialiased bilinear filter, aspect ratio not kept.

    Pictures above `LARGE_PIXELS` are decoded one at a time in a process: each may take half a gigabyte.

    Args:
        payload: a whole file in one of `FORMATS`, at most `MAX_BYTES` long and `MAX_PIXELS` large.
        size: (height, width) of the result.
        box: the part to keep, in pixels of the upright picture as `read_size` counts them; all of it if None.

    Returns:
        shape (height, width, 3), uint8 in [0, 255].

    Raises:
        ImageError: empty, not one of the formats, damaged, truncated, too large or too small.
        BoxError: the box does not lie inside the picture, or one of its sides is shorter than `MIN_SIDE`.
    """
    return Picture(payload).decode(size, box)


def read_size(payload: bytes) -> tuple[int, int]:
    """Return (height, width) in pixels of the upright picture, from its header.

    Raises:
        ImageError: as for `decode`, as far as the header shows it.
    """
    return Picture(payload).upright_size()


def lies_inside(box: Box, size: tuple[int, int]) -> bool:
    """Say whether a box holds a pixel at least, and none outside a picture of this (height, width)."""
    left, top, right, bottom = box
    return 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise ImageError(f"the picture is damaged or truncated: {error}") from error


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG file of pixels (height, width, 3), or with opacity (height, width, 4), uint8 in [0, 255]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _open(payload: bytes) -> Image.Image:
    """Read the header only, and refuse what should not be decoded."""
    if not payload:
        raise ImageError("the picture is empty (0 bytes)")
    if len(payload) > MAX_BYTES:
        raise ImageError(f"the picture has {len(payload):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        image = Image.open(io.BytesIO(payload), formats=FORMATS)
    except _DAMAGED as error:
        known = ", ".join(FORMATS)
        raise ImageError(f"these bytes are not a picture in a known format ({known})") from error
    extent = f"{image.width:,} × {image.height:,}"
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"the picture has {extent} pixels; at most {MAX_PIXELS:,} in all are read")
    if min(image.size) < MIN_SIDE:
        raise ImageError(f"the picture has {extent} pixels; each side must have {MIN_SIDE} at least")
    if image.format in {"JPEG", SEVERAL_JPEGS} and (scans := payload.count(b"\xff\xda")) > MAX_SCANS:
        raise ImageError(f"the picture is a JPEG in {scans:,} scans; at most {MAX_SCANS} are read")
    if image.mode == "F":
        raise ImageError("the picture has floating-point samples, whose range is not known")
    return image


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture in 8 bits, as L, RGB, LA or RGBA."""
    key = image.info.get("transparency")  # PNG: a colour that counts as transparent
    wide = image.mode.startswith("I")  # 16-bit grey, also where Pillow holds it in 32 bits
    if key is not None and (wide or (isinstance(key, tuple) and max(key) > 255)):
        raise ImageError("the picture has 16-bit samples with a transparent colour, which is not read")
    if wide:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"L", "RGB", "LA", "RGBA"} and key is None:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _on_ground(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, GROUND), image.convert("RGBA")).convert("RGB")
