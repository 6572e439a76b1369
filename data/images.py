"""From bytes to pixels: the only decoder and resizer in the project.

Training, serving and evaluation all come through `decode`, so a network sees at serving time what it was
trained on. Whatever changes the pixels that come out must raise `DECODER_VERSION`.
"""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from data.errors import ImageError

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
MAX_BYTES = 20 * 1024 * 1024  # a 50-megapixel JPEG of a telephone is about 15 MB
MAX_PIXELS = 64_000_000  # 192 MB as RGB; the largest common telephone sensors give 48 to 50 million
MIN_SIDE = 8  # below this no sign can be told from another; GTSRB's smallest image is 25 wide
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


def decode(
    payload: bytes, size: tuple[int, int], box: tuple[int, int, int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """Decode one picture to RGB pixels of a given size.

    EXIF orientation is applied; transparent pixels are laid on `GROUND`; 16-bit samples are scaled to 8;
    grey, palette and CMYK become RGB; of an animation the first frame counts; colour profiles are ignored.
    The picture is stretched to `size` by Pillow's antialiased bilinear filter, aspect ratio not kept.

    Args:
        payload: a whole file in one of `FORMATS`, at most `MAX_BYTES` long and `MAX_PIXELS` large.
        size: (height, width) of the result.
        box: (left, top, right, bottom) in pixels of the upright picture, half-open; None means all of it.

    Returns:
        shape (height, width, 3), uint8 in [0, 255].

    Raises:
        ImageError: empty, not one of the formats, damaged, truncated, too large or too small.
    """
    height, width = size
    image = _open(payload)
    if image.format == "JPEG" and box is None and min(image.size) >= DRAFT_FACTOR * max(size):
        image.draft(None, (DRAFT_FACTOR * width, DRAFT_FACTOR * height))
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        image = _to_rgb(image)
    except _DAMAGED as error:
        raise ImageError(f"the picture is damaged or truncated: {error}") from error
    if box is not None and not (0 <= box[0] < box[2] <= image.width and 0 <= box[1] < box[3] <= image.height):
        raise ImageError(f"the box {box} does not lie inside the picture of {_extent(image)} pixels")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))


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
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"the picture has {_extent(image)} pixels; at most {MAX_PIXELS:,} in all are read")
    if min(image.size) < MIN_SIDE:
        raise ImageError(f"the picture has {_extent(image)} pixels; each side must have {MIN_SIDE} at least")
    return image


def _extent(image: Image.Image) -> str:
    return f"{image.width:,} × {image.height:,}"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16-bit grey, also where Pillow holds it in 32 bits
        samples = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((samples * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, GROUND)
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert("RGB")
