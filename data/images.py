"""Decode pictures to pixels, and encode pixels; nothing else in the project decodes pictures.

Training, serving and evaluation use `decode` for whole pictures and boxes, and `Picture.decode_photo` for photos that
are searched, so that a network gets the same pixels in all three.
Raise `DECODER_VERSION` with every change, here or in `data.conversion` and `data.photo`, that alters the pixels.
"""

import io
import math
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import AvifImagePlugin, Image, ImageFile

from data import avif, jpeg, png
from data.conversion import cut, flatten, make_transparent, to_8_bits
from data.errors import BoxError, ImageError
from data.orientation import read_orientation
from data.photo import Photo

DECODER_VERSION = 1
MEDIA_TYPES = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/heic": "HEIF",
    "image/heif": "HEIF",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/x-portable-pixmap": "PPM",
}
FORMATS = tuple(dict.fromkeys(MEDIA_TYPES.values()))
MULTI_JPEG = "MPO"  # Pillow's name for a JPEG followed by further JPEGs, as many phones write it
MAX_BYTES = 20 * 1024 * 1024  # a 50-megapixel JPEG from a phone takes about 15 MB
MAX_PIXELS = 64_000_000  # 192 MB as RGB; common phone sensors have up to 50 million
MAX_WEBP_PIXELS = 32_000_000  # its decoder needs 15 bytes for each, five times as many as others
MAX_REDUCED_PIXELS = 200_000_000  # of a JPEG that can be decoded at a reduced scale row by row, as large phones take
LARGE_PIXELS = 10_000_000  # 40 MB as RGBA; larger pictures are decoded one at a time
MIN_SIDE = 8  # pixels; smaller signs cannot be told apart (GTSRB's smallest image is 25 wide)
MAX_SCANS = 64  # in a JPEG; each may touch all pixels, and encoders write no more than about 20
SCALES = (8, 4, 2, 1)  # a JPEG can be decoded at these fractions of its size, which takes less time and memory
DRAFT_FACTOR = 4  # a JPEG is decoded at a reduced scale only if that is still this many times the target size

pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the service has threads of its own

# A picture in one block: the C library returns blocks above 32 MB to the system at once, but keeps several of 16 MB,
# Pillow's default, in the heap of each thread.
Image.core.set_block_size(512 * 1024**2)  # type: ignore[attr-defined]  # as PILLOW_BLOCK_SIZE does

# Disable Pillow's limit, which only warns; `MAX_PIXELS` is checked on the header, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# What Pillow raises on damaged files. Half a million damaged files raised only the first five; a hostile file may
# raise the others.
_DECODING_ERRORS = (
    OSError, ValueError, SyntaxError, struct.error, zlib.error,
    EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError,
)  # fmt: skip
_TURNS = {  # orientation: the transpose that turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEGS = {"JPEG", MULTI_JPEG}
_QUARTER_TURNS = {5, 6, 7, 8}  # orientations that swap width and height
_STARTS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF.{4}WEBP|GIF8[79]a|BM.{4}\0\0\0\0|P[1-6]\s|.{4}ftyp(?:avi[fs]|he[iv]|mif1|msf1)",
    re.DOTALL,
)
# Data of a scan that mean anything but what is there, also behind each restart marker of a JPEG.
_NOISE = bytes.fromhex("5a93c6395ca9653a96c35a93c6395ca9")
_NOISE += b"".join(bytes([0xFF, marker]) + _NOISE for marker in range(0xD0, 0xD8))
_NOT_A_PICTURE = f"these bytes are not a picture in a known format ({', '.join(FORMATS)})"
_CUT = "the picture is truncated: the file ends before its pixels do; send the complete file"
_large_picture_lock = threading.Lock()

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive
Pixels = npt.NDArray[np.uint8]  # in [0, 255]; the last axis is red, green, blue and sometimes alpha
Boxes = npt.NDArray[np.float32]  # (n, 4): left, top, right, bottom; each use says in which unit
Indices = npt.NDArray[np.int64]


class Picture:
    """A picture whose header has been checked and whose pixels have not been decoded yet.

    Args:
        payload: a complete file in one of `FORMATS`.

    Attributes:
        height, width: size in pixels as stored in the file, before EXIF orientation is applied.
        extension: file name extension of the format, such as ".png".
        truncated: a JPEG or PNG that ends early; rows that are missing are decoded as one colour. Others that end early
            are rejected: their decoders give all rows or none.

    Raises:
        ImageError: the file is empty, damaged, in an unknown format, too large or too small.
    """

    def __init__(self, payload: bytes) -> None:
        _check_length(payload)
        layout = _read_layout(payload)
        self._is_cut = _is_cut(payload)
        self.truncated = layout is not None and not layout.complete
        self._cut_jpeg: bytes | None = None  # the file, if it ends in its first scan; later ones only refine its rows
        if layout is not None and self.truncated:
            payload = payload[: layout.end] + jpeg.END  # without it, Pillow refuses the rows that are there
            self._cut_jpeg = payload if layout.scans == 1 else None
        elif payload.startswith(png.SIGNATURE):
            payload = png.keep_essentials(payload)
            self.truncated = png.may_lack_rows(payload)
        elif payload[4:8] == b"ftyp":
            payload = avif.as_still(payload)
        image = _open(payload, is_cut=self._is_cut)
        self._image: ImageFile.ImageFile | None = image
        self._low_bytes = _open_low_bytes(payload) if _has_deep_key(image) else None
        self.width, self.height = image.size
        self._orientation = read_orientation(image.info)
        self._is_jpeg = image.format in _JPEGS
        self._is_streamed = layout is not None and layout.is_streamed
        self._is_oversized = self.width * self.height > MAX_PIXELS
        has_scans = self._is_jpeg and not self._is_streamed
        if has_scans and self._is_oversized and self.width * self.height <= MAX_REDUCED_PIXELS:
            raise ImageError(
                f"the picture has {self.width:,} × {self.height:,} pixels, but a JPEG of several scans may have at "
                f"most {MAX_PIXELS:,}; save it as a single-scan JPEG (not progressive) or send a smaller one"
            )
        max_pixels = MAX_WEBP_PIXELS if image.format == "WEBP" else MAX_PIXELS
        _check_size(self.width, self.height, MAX_REDUCED_PIXELS if self._is_streamed else max_pixels)
        if image.format == "AVIF":
            _check_frames(payload, self.width * self.height)
        kind = "JPEG" if self._is_jpeg else str(image.format)
        self.extension = f".{kind.lower()}"

    def upright_size(self) -> tuple[int, int]:
        """Return (height, width) in pixels with EXIF orientation applied."""
        sideways = self._orientation in _QUARTER_TURNS
        return (self.width, self.height) if sideways else (self.height, self.width)

    def decode(self, size: tuple[int, int], box: Box | None = None) -> Pixels:
        """Decode the picture to RGB pixels; see the function `decode`. A picture can be decoded only once.

        Raises:
            ImageError: the picture is damaged or truncated.
            BoxError: the box is empty, not inside the picture, or has a side shorter than `MIN_SIDE`.
        """
        height, width = size
        # Boxes are in pixels of the full resolution, so a reduced scale is good only without one.
        can_be_reduced = box is None and self._undecoded.format == "JPEG"
        if can_be_reduced and min(self.width, self.height) >= DRAFT_FACTOR * max(size):
            self._reduce(DRAFT_FACTOR * width, DRAFT_FACTOR * height)
        with self._lock_if_large():
            part = self._decode_part(box)
            with _convert_errors():
                # Resize first: the background then needs only the target size.
                part = flatten(part.resize((width, height), Image.Resampling.BILINEAR))
        return np.asarray(part)

    def decode_photo(self, max_pixels: int, box: Box | None = None) -> Photo:
        """Decode the picture once, for looking at several parts of it. A picture can be decoded only once.

        A JPEG is decoded at the smallest of its `SCALES` that leaves at least `max_pixels`.

        Args:
            max_pixels: the picture is reduced if it has more pixels, and keeps its aspect ratio.
            box: the part that becomes the photo, in pixels of the upright picture; None keeps the whole picture.

        Raises:
            ImageError: the picture is damaged or truncated.
            BoxError: the box is empty, not inside the picture, or has a side shorter than `MIN_SIDE`.
        """
        size = self.upright_size() if box is None else (box[3] - box[1], box[2] - box[0])
        if self._is_jpeg:
            part = size[0] * size[1] / (self.height * self.width)
            scale = next(scale for scale in SCALES if scale == 1 or part * self._count_pixels(scale) >= max_pixels)
            self._reduce(self.width // scale, self.height // scale)
        with self._lock_if_large():
            image = self._decode_part(box)
            factor = math.sqrt(max_pixels / (image.width * image.height))
            if factor < 1:
                reduced = max(1, int(image.width * factor)), max(1, int(image.height * factor))
                with _convert_errors():
                    image = image.resize(reduced, Image.Resampling.BILINEAR, reducing_gap=2)
        return Photo(image, size)

    def crop(self, box: Box, around: tuple[float, float, float, float] | None = None) -> bytes:
        """Crop the picture losslessly and return a PNG file that decodes to the same pixels as the box.

        The crop is upright and keeps transparency; all metadata is dropped. Of a picture above `MAX_PIXELS`, it is
        decoded at a reduced scale. A picture can be decoded only once.

        Args:
            box: the part to keep, in pixels of the upright picture.
            around: the box with a margin, to keep that instead, rounded to whole pixels. It may reach beyond the edges,
                whose pixels are then repeated.

        Raises:
            ImageError, BoxError: as for `decode`.
        """
        with self._lock_if_large():
            part = self._decode_part(box, around)
            if min(part.size) < MIN_SIDE:
                raise BoxError(f"the box is too small for a picture of {self.width:,} × {self.height:,} pixels")
            part.info.clear()
            buffer = io.BytesIO()
            part.save(buffer, "PNG", compress_level=1)  # the default level takes ten times as long on large crops
        return buffer.getvalue()

    @property
    def _undecoded(self) -> ImageFile.ImageFile:
        if self._image is None:
            raise RuntimeError("a Picture can be decoded only once")
        return self._image

    def _count_pixels(self, scale: int) -> int:
        return (self.width // scale) * (self.height // scale)

    def _reduce(self, width: int, height: int) -> None:
        """Decode a JPEG at the smallest of its `SCALES` that leaves this size. Only the first call has an effect."""
        if self._is_oversized:
            width, height = min(width, self.width // 2), min(height, self.height // 2)
        self._undecoded.draft(None, (width, height))

    def _lock_if_large(self) -> AbstractContextManager[object]:
        # For a JPEG of several scans, a decoder needs as much memory at a reduced scale as for the whole picture.
        width, height = self._undecoded.size if self._is_streamed else (self.width, self.height)
        return _large_picture_lock if width * height > LARGE_PIXELS else nullcontext()

    def _decode_part(self, box: Box | None, around: tuple[float, float, float, float] | None = None) -> Image.Image:
        """Decode the picture to upright 8-bit samples and crop it to the box, or to that with a margin around it.

        The picture forgets its pixels, so that the caller decides how long they stay in memory.

        Raises:
            ImageError: the picture is damaged or truncated.
            BoxError: the box is empty, not inside the picture, or has a side shorter than `MIN_SIDE`.
        """
        if self._is_oversized:
            self._reduce(self.width, self.height)
        image: Image.Image = self._undecoded
        low_bytes, cut_jpeg = self._low_bytes, self._cut_jpeg
        self._image = self._low_bytes = self._cut_jpeg = None
        expected = image.size
        is_cut_png = self.truncated and not self._is_jpeg
        with _convert_errors(is_cut=self._is_cut):
            has_all_rows = _load(image, may_lack_rows=is_cut_png)
            if image.size != expected:
                raise ValueError("its header gives another size than its pixels have")
            # Rows that are missing in a JPEG are not reported.
            may_be_empty = not has_all_rows or cut_jpeg is not None
            if may_be_empty and _is_half_empty(image) and (cut_jpeg is None or _lacks_half(cut_jpeg)):
                raise ValueError("more than half of its rows are missing")
            if low_bytes is None:
                image = to_8_bits(image)
            else:
                _load(low_bytes, may_lack_rows=is_cut_png)
                image = make_transparent(image, low_bytes, image.info["transparency"])
            if self._orientation in _TURNS:
                image = image.transpose(_TURNS[self._orientation])
        if box is None:
            return image
        height, width = self.upright_size()
        _check_box(box, height, width)
        across, down = image.width / width, image.height / height  # 1 unless it was reduced
        if around is not None:
            return cut(image, *(round(edge * (across, down)[place % 2]) for place, edge in enumerate(around)))
        left, top, right, bottom = box
        return image.crop(
            (math.floor(left * across), math.floor(top * down), math.ceil(right * across), math.ceil(bottom * down))
        )


def decode(payload: bytes, size: tuple[int, int], box: Box | None = None) -> Pixels:
    """Decode one picture to RGB pixels of a given size.

    EXIF orientation is applied, transparent pixels are composited onto white, 16-bit samples are scaled to 8 bits, and
    grey, palette and CMYK pictures are converted to RGB. Only the first frame of an animation is decoded, and colour
    profiles are ignored. The picture is stretched to `size` with Pillow's antialiased bilinear filter, without keeping
    the aspect ratio.

    A process decodes pictures above `LARGE_PIXELS` one at a time, because each may take half a gigabyte.

    Args:
        payload: a complete file in one of `FORMATS`, of at most `MAX_BYTES` and `MAX_PIXELS`.
        size: (height, width) of the result.
        box: the part to keep, in pixels of the upright picture (see `read_size`); None keeps the whole picture.

    Returns:
        shape (height, width, 3), uint8 in [0, 255].

    Raises:
        ImageError: the file is empty, damaged, truncated, in an unknown format, too large or too small.
        BoxError: the box is empty, not inside the picture, or has a side shorter than `MIN_SIDE`.
    """
    return Picture(payload).decode(size, box)


def read_size(payload: bytes) -> tuple[int, int]:
    """Return (height, width) of the upright picture in pixels, without decoding its pixels.

    Raises:
        ImageError: the file is empty, damaged, in an unknown format, too large or too small.
    """
    return Picture(payload).upright_size()


def lies_inside(box: Box, size: tuple[int, int]) -> bool:
    """Return whether a box is not empty and lies inside a picture of this (height, width)."""
    left, top, right, bottom = box
    return 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]


def has_known_start(payload: bytes) -> bool:
    """Return whether bytes begin like a file in one of `FORMATS`, without reading further."""
    return _STARTS.match(payload) is not None


@contextmanager
def _convert_errors(*, is_cut: bool = False) -> Iterator[None]:
    """Raise Pillow's errors on damaged files as `ImageError`."""
    try:
        yield
    except _DECODING_ERRORS as error:
        if is_cut:
            raise ImageError(_CUT) from error
        raise ImageError(f"the picture is damaged or truncated: {error}") from error


def encode(pixels: Pixels) -> bytes:
    """Encode pixels as a PNG file.

    Args:
        pixels: shape (height, width, 3), RGB, or (height, width, 4), RGBA; uint8 in [0, 255].
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _check_length(payload: bytes) -> None:
    if not payload:
        raise ImageError("the picture is empty (0 bytes)")
    if len(payload) > MAX_BYTES:
        raise ImageError(f"the picture has {len(payload):,} bytes; the limit is {MAX_BYTES:,}")


def _read_layout(payload: bytes) -> jpeg.Layout | None:
    """Return what a JPEG consists of; None for other formats.

    Raises:
        ImageError: it has no pixels, or decoding it could take too long.
    """
    if not payload.startswith(jpeg.SIGNATURE):
        return None
    layout = jpeg.read_layout(payload)
    if layout.scans > MAX_SCANS:
        raise ImageError(f"the picture is a JPEG with {layout.scans:,} scans; the limit is {MAX_SCANS}")
    if layout.segments >= jpeg.MAX_SEGMENTS:
        raise ImageError(f"the picture is a JPEG with too many segments; the limit is {jpeg.MAX_SEGMENTS:,}")
    if layout.scans == 0:
        raise ImageError(_NOT_A_PICTURE)
    return layout


def _is_cut(payload: bytes) -> bool:
    """Say whether a WebP, AVIF or HEIC file is shorter than its header says."""
    if payload[:4] == b"RIFF":
        return len(payload) < 8 + int.from_bytes(payload[4:8], "little")
    return payload[4:8] == b"ftyp" and avif.ends_early(payload)


def _open(payload: bytes, *, is_cut: bool = False) -> ImageFile.ImageFile:
    """Read the header.

    Raises:
        ImageError: the file is damaged or in an unknown format.
    """
    try:
        image = Image.open(io.BytesIO(payload), formats=FORMATS)
    except _DECODING_ERRORS as error:
        raise ImageError(_CUT if is_cut and has_known_start(payload) else _NOT_A_PICTURE) from error
    if image.mode == "F":
        raise ImageError("the picture has floating-point samples, which are not supported")
    return image


def _load(image: Image.Image, *, may_lack_rows: bool) -> bool:
    """Decode the pixels; return whether the decoder got all rows.

    Args:
        image: as opened.
        may_lack_rows: if the data end early, keep the rows that were decoded; those that are missing are zero.
    """
    try:
        image.load()
    except (OSError, SyntaxError):
        # Pillow empties the list of tiles when a decoder stops by itself, also because of damaged data.
        if not (may_lack_rows and isinstance(image, ImageFile.ImageFile) and image.tile):
            raise
        image.tile = []  # the pixels are as they are; Pillow's own option would affect all threads
        image.load()
        return False
    return True


def _has_deep_key(image: ImageFile.ImageFile) -> bool:
    """Say whether a PNG has 16-bit RGB samples, of which Pillow keeps 8 bits, and a transparent colour of 16 bits."""
    is_deep = any(tile.args == "RGB;16B" for tile in image.tile)
    return is_deep and max(image.info.get("transparency", (0,))) > 255


def _open_low_bytes(payload: bytes) -> ImageFile.ImageFile:
    """Open a PNG of 16-bit RGB samples for decoding the lower byte of each, by taking them as little-endian."""
    image = _open(payload)
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return image


def _check_size(width: int, height: int, max_pixels: int) -> None:
    extent = f"{width:,} × {height:,}"
    if width * height > max_pixels:
        raise ImageError(f"the picture has {extent} pixels; the limit is {max_pixels:,} in total")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"the picture has {extent} pixels; each side must have at least {MIN_SIDE}")


def _check_frames(payload: bytes, pixels: int) -> None:
    """Check that the frames in an AVIF file are not larger than its header says; libheif checks HEIC itself."""
    with _convert_errors():
        largest = avif.read_largest_frame(payload)
    if largest > 2 * pixels:  # some encoders fill up the last blocks
        raise ImageError(f"the picture is damaged: its header says {pixels:,} pixels, and its frames have {largest:,}")


def _check_box(box: Box, height: int, width: int) -> None:
    left, top, right, bottom = box
    whole = f"the picture of {width:,} × {height:,} pixels"
    if left >= right or top >= bottom:
        raise BoxError(f"the box {left},{top},{right},{bottom} is empty: left must be < right and top must be < bottom")
    if not lies_inside(box, (height, width)):
        raise BoxError(f"the box {left},{top},{right},{bottom} does not lie inside {whole}")
    if min(right - left, bottom - top) < MIN_SIDE:
        extent = f"{right - left} × {bottom - top}"
        raise BoxError(f"the box of {extent} pixels in {whole} is too small; each side must have at least {MIN_SIDE}")


def _is_half_empty(image: Image.Image) -> bool:
    """Say whether the lower half of a truncated picture has one colour only, as missing rows are decoded."""
    lower = image.crop((0, image.height // 2, *image.size))
    return all(len(set(channel.getextrema())) == 1 for channel in lower.split())


def _lacks_half(cut_jpeg: bytes) -> bool:
    """Say whether more than half of the rows are missing in a JPEG whose first scan is followed by the end marker.

    A decoder does not tell where its data end, but whatever follows them changes the rows from there on, and none if
    only the end marker is missing. An eighth of the size is enough to see it.
    """
    scan = cut_jpeg.removesuffix(jpeg.END).rstrip(b"\xff")
    ends = []
    for tail in (b"", _NOISE):
        image = _open(scan + tail + jpeg.END)
        image.draft(None, (1, 1))
        image.load()
        ends.append(np.asarray(image).reshape(image.height, -1))
    differs = (ends[0] != ends[1]).any(axis=1)
    return bool(differs[: len(differs) // 2].any())
