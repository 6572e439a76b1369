"""Files as cameras, telephones and editors write them, with faults that a browser shrugs off."""

import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.avif import read_largest_frame
from data.errors import BoxError, ImageError
from data.images import LARGE_PIXELS, MAX_PIXELS, MAX_REDUCED_PIXELS, Picture, decode, read_size
from data.jpeg import MAX_SEGMENTS, read_layout
from data.png import keep_essentials
from tests.conftest import ROOT, drawing, encoded, scene

SIZE = (48, 48)
SIGN = drawing(size=128)
PNG, JPEG = encoded(SIGN), encoded(SIGN, "JPEG", quality=90)
PIXELS = decode(PNG, SIZE)
END = b"\xff\xd9"


def chunk(kind: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG file."""
    right = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right if checksum is None else checksum)


def with_chunks(*chunks: bytes, payload: bytes = PNG, before: bytes = b"IDAT") -> bytes:
    """Return a PNG file with further chunks before the first of a kind."""
    position = payload.index(before) - 4
    return payload[:position] + b"".join(chunks) + payload[position:]


def png16(samples: np.ndarray, colour_type: int, *chunks: bytes) -> bytes:
    """Return a PNG file with 16-bit samples; shape (height, width) or (height, width, 3)."""
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    ends = chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *chunks, *ends))


def turned_exif(*values: int, order: str = ">") -> bytes:
    """Return an EXIF block whose orientation has these values."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    numbers = struct.pack(f"{order}{len(values)}H", *values).ljust(4, b"\0")
    return mark + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, 3, len(values)) + numbers + bytes(4)


def with_exif(block: bytes) -> bytes:
    """Return a JPEG file with an EXIF block, whatever is in it."""
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block + JPEG[2:]


@pytest.mark.parametrize(("kind", "tolerance"), [("AVIF", 3), ("HEIF", 4)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_formats_of_telephones_are_decoded(kind: str, tolerance: int, mode: str) -> None:
    payload = encoded(SIGN.convert(mode), kind, quality=90)
    expected = decode(encoded(SIGN.convert(mode)), SIZE).astype(int)
    assert read_size(payload) == (128, 128)
    assert Picture(payload).extension == f".{kind.lower()}"
    assert np.abs(decode(payload, SIZE) - expected).mean() < tolerance


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 180), (6, 90), (8, 270)])
def test_formats_of_telephones_are_turned_upright(kind: str, orientation: int, turn: int) -> None:
    upright = SIGN.crop((0, 0, 128, 96))
    exif = Image.Exif()
    exif[0x0112] = orientation
    payload = encoded(upright.rotate(turn, expand=True), kind, quality=90, exif=exif.tobytes())
    assert read_size(payload) == (96, 128)
    photo = Picture(payload).decode_photo(1_000_000)
    assert photo.pixels.shape == (96, 128, 3)
    assert np.abs(photo.resize(SIZE).astype(int) - decode(encoded(upright), SIZE)).mean() < 4


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_damaged_file_of_a_telephone_is_rejected(kind: str) -> None:
    payload = encoded(SIGN, kind)
    for cut in (20, len(payload) // 2, len(payload) - 200):
        with pytest.raises(ImageError):
            decode(payload[:cut], SIZE)


@pytest.mark.parametrize("tail", [b"\0", b"MotionPhoto" + 200 * b"\xff\xda\0\x08", JPEG, b"\xff"], ids=repr)
def test_data_behind_the_end_of_a_jpeg_are_ignored(tail: bytes) -> None:
    picture = Picture(JPEG + tail[:2000])
    assert not picture.truncated
    assert np.array_equal(picture.decode(SIZE), decode(JPEG, SIZE))


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_without_its_end_marker_is_decoded(progressive: bool) -> None:
    whole = encoded(SIGN, "JPEG", progressive=progressive)
    for tail in (b"", b"\xff", b"\xff\xc4\0"):
        picture = Picture(whole.removesuffix(END) + tail)
        assert picture.truncated
        photo = picture.decode_photo(1_000_000)
        assert np.array_equal(photo.resize(SIZE), decode(whole, SIZE))


def test_jpeg_whose_last_rows_are_missing_is_decoded() -> None:
    whole = Picture(JPEG).decode_photo(1_000_000).pixels
    picture = Picture(JPEG[: len(JPEG) * 4 // 5])
    assert picture.truncated
    photo = picture.decode_photo(1_000_000)
    assert np.array_equal(photo.pixels[:64], whole[:64])
    assert (photo.pixels[-4:] == photo.pixels[-1, -1]).all()


def test_jpeg_without_most_of_its_rows_is_rejected() -> None:
    start = JPEG.index(b"\xff\xda")
    for cut in (start + 4, start + 14, start + (len(JPEG) - start) // 3):
        with pytest.raises(ImageError, match=r"damaged or truncated|not a picture"):
            decode(JPEG[:cut], SIZE)


PLAIN = Image.new("RGB", (640, 480), (0, 0, 200))
HORIZON = scene((14, 60, 20), (17, 300, 60))  # only its upper half shows anything
WAYS_TO_WRITE: list[dict[str, Any]] = [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 8}]


@pytest.mark.parametrize(
    "image",
    [PLAIN, PLAIN.convert("L"), Image.new("RGB", (9, 8), "grey"), HORIZON],
    ids=["plain", "grey", "tiny", "horizon"],
)
@pytest.mark.parametrize("options", WAYS_TO_WRITE, ids=str)
def test_jpeg_with_a_plain_lower_half_and_without_an_end_is_decoded(
    image: Image.Image, options: dict[str, Any]
) -> None:
    whole = encoded(image, "JPEG", **options)
    expected = decode(whole, SIZE)
    for tail in (b"", b"\xff"):
        picture = Picture(whole.removesuffix(END) + tail)
        assert picture.truncated
        assert np.array_equal(picture.decode(SIZE), expected)


@pytest.mark.parametrize("options", WAYS_TO_WRITE, ids=str)
@pytest.mark.parametrize("grey", [False, True])
def test_jpeg_with_a_plain_lower_half_and_without_most_of_its_rows_is_rejected(
    options: dict[str, Any], grey: bool
) -> None:
    image = HORIZON.convert("L") if grey else HORIZON
    whole = encoded(image, "JPEG", **options)
    start = whole.index(b"\xff\xda")
    end = whole.find(b"\xff\xda", start + 2)  # of the first scan
    end = len(whole) if end < 0 else end
    for share in (0.1, 0.3):
        with pytest.raises(ImageError, match="more than half of its rows are missing"):
            decode(whole[: start + 14 + int((end - start - 14) * share)], SIZE)


@pytest.mark.parametrize(
    "payload",
    [JPEG[:2] + 20_000_000 * b"\xff", JPEG[:4] + bytes(20_000_000), JPEG[:2] + 5_000_000 * b"\xff\xe0\0\2"],
    ids=["filling", "zeros", "segments"],
)
def test_jpeg_that_would_take_long_to_read_is_rejected_by_its_markers(payload: bytes) -> None:
    layout = read_layout(payload)
    assert layout.scans == 0
    assert layout.segments <= MAX_SEGMENTS
    with pytest.raises(ImageError, match=r"not a picture|too many segments") as caught:
        Picture(payload)
    assert caught.value.__cause__ is None  # Pillow was not asked, which would take half a minute


@pytest.mark.parametrize("orientation", [6, 1])
def test_faults_in_exif_do_no_harm(orientation: int) -> None:
    """The orientation is used if it can be read, and everything else is ignored."""
    whole = turned_exif(orientation)
    maker_beyond_end = whole[:8] + struct.pack(">HHHII", 2, 0x010F, 2, 5000, 9000) + whole[10:]
    upright = encoded(SIGN.rotate(-90 if orientation == 6 else 0))
    for block in (
        whole,
        turned_exif(orientation, order="<"),
        turned_exif(orientation, 1),
        maker_beyond_end,
        whole[:22],
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns when it opens a JPEG
            pixels = decode(with_exif(block), SIZE)
        assert np.abs(pixels.astype(int) - decode(upright, SIZE)).mean() < 3
        in_png = with_chunks(chunk(b"eXIf", block))
        assert np.array_equal(decode(in_png, SIZE), decode(upright, SIZE))


@pytest.mark.parametrize(
    "block", [b"", b"MM", b"no TIFF at all", turned_exif(6)[:10], b"II*\0\xff\xff\xff\xff", turned_exif(9)], ids=repr
)
def test_exif_without_an_orientation_leaves_the_picture_as_it_is(block: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(decode(with_exif(block), SIZE), decode(JPEG, SIZE))
    assert np.array_equal(decode(with_chunks(chunk(b"eXIf", block)), SIZE), PIXELS)


def faulty_chunks() -> Iterator[tuple[str, bytes]]:
    """Yield auxiliary chunks that decoders reject, by description."""
    for kind in (b"iCCP", b"pHYs", b"tEXt", b"eXIf", b"gAMA", b"tIME", b"tRNS", b"prVt", b"iTXt"):
        yield f"{kind!r} with a wrong checksum", chunk(kind, b"name\0\0content", checksum=1)
        yield f"{kind!r} that is empty", chunk(kind, b"")
    packed = zlib.compress(bytes(80_000_000), 9)
    yield "text that is too long", chunk(b"zTXt", b"Comment\0\0" + packed)
    yield "XMP that is too long", chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)
    yield "profile of EXIF that is too long", chunk(b"zTXt", b"Raw profile type exif\0\0" + packed)
    yield "text with an unknown method", chunk(b"zTXt", b"Raw profile type exif\0\1" + packed[:100])
    yield "colour profile that is too long", chunk(b"iCCP", b"name\0\0" + packed)
    yield "profile of EXIF without digits", chunk(b"tEXt", b"Raw profile type exif\0\nexif\n3\nxyz")
    yield "frame of an animation out of order", chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26))
    yield "text with the name of a property", chunk(b"tEXt", b"transparency\0yes")


@pytest.mark.parametrize(
    ("name", "part"), list(faulty_chunks()), ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_faulty_auxiliary_chunks_of_a_png_are_ignored(name: str, part: bytes, before: bytes) -> None:
    assert np.array_equal(decode(with_chunks(part, before=before), SIZE), PIXELS), name


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_whose_last_rows_are_missing_is_decoded(mode: str) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (120, 80, 3), np.uint8)).convert(mode)
    payload = encoded(image)
    whole = Picture(payload).decode_photo(1_000_000).pixels
    picture = Picture(payload[: len(payload) * 3 // 4])
    assert picture.truncated
    photo = picture.decode_photo(1_000_000)
    assert np.array_equal(photo.pixels[:80], whole[:80])
    assert (photo.pixels[-20:] == photo.pixels[-1, -1]).all()


def test_16_bit_png_whose_last_rows_are_missing_is_decoded() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (120, 80, 3), np.uint16)
    key = chunk(b"tRNS", struct.pack(">HHH", *samples[5, 5]))
    for payload in (png16(samples, 2), png16(samples, 2, key), png16(samples[..., 0], 0)):
        whole = Picture(payload).decode_photo(1_000_000).pixels
        photo = Picture(payload[: len(payload) * 3 // 4]).decode_photo(1_000_000)
        assert np.array_equal(photo.pixels[:80], whole[:80])


@pytest.mark.parametrize("left_out", [1, 8, 12, 13, 16, 17, 21, 23, 24])
def test_png_that_ends_in_its_last_chunks_is_decoded(left_out: int) -> None:
    """The last 12 bytes are the end chunk; before it are two of pixels, the last one short."""
    data = zlib.compress(np.insert(np.asarray(SIGN).reshape(128, -1), 0, 0, axis=1).tobytes())
    header = PNG[: PNG.index(b"IDAT") - 4]
    payload = header + chunk(b"IDAT", data) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert np.array_equal(decode(payload, SIZE), PIXELS)
    picture = Picture(payload[:-left_out])
    assert picture.truncated == (left_out >= 8)
    assert np.array_equal(picture.decode(SIZE), PIXELS)


def test_png_that_ends_in_a_text_behind_its_pixels_is_decoded() -> None:
    payload = with_chunks(chunk(b"tEXt", b"Comment\0" + 100 * b"a"), before=b"IEND")
    assert np.array_equal(decode(payload[:-40], SIZE), PIXELS)


def test_png_with_a_plain_lower_half_and_without_an_end_is_decoded() -> None:
    plain = encoded(Image.new("RGB", (128, 128), (0, 0, 200)))
    assert np.array_equal(decode(plain[:-12], SIZE), decode(plain, SIZE))


def test_png_without_most_of_its_rows_is_rejected() -> None:
    payload = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 80, 3), np.uint8)))
    for share in (0.01, 0.2, 0.48):
        with pytest.raises(ImageError, match=r"more than half of its rows are missing|not a picture"):
            decode(payload[: int(len(payload) * share)], SIZE)


def test_damaged_png_is_rejected_even_if_it_also_ends_early() -> None:
    payload = bytearray(encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 80, 3), np.uint8))))
    position = payload.index(b"IDAT") + 4
    payload[position : position + 2] = b"\xff\xff"  # no header of a compressed stream
    with pytest.raises(ImageError, match="broken data stream"):
        decode(bytes(payload[: len(payload) * 3 // 4]), SIZE)


def test_interlaced_png_that_ends_early_is_rejected() -> None:
    """Its last rows are spread over the picture."""
    grey = np.random.default_rng(0).integers(0, 256, 64 * 64 * 2, np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 1)
    payload = PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(grey))
    with pytest.raises(ImageError, match="truncated"):
        decode(payload[: len(payload) * 3 // 8], SIZE)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_other_formats_that_end_early_are_rejected_with_the_reason(kind: str, share: float) -> None:
    payload = encoded(SIGN, kind)
    with pytest.raises(ImageError, match="the file ends before its pixels do; send the complete file"):
        decode(payload[: int(len(payload) * share)], SIZE)


def test_png_with_data_behind_its_end_or_without_an_end_is_decoded() -> None:
    assert np.array_equal(decode(PNG + b"\0\0\0\1anything", SIZE), PIXELS)
    assert np.array_equal(decode(PNG[:-12], SIZE), PIXELS)


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    "part",
    [
        chunk(b"eXIf", turned_exif(6)),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n26\n" + turned_exif(6).hex().encode())),
        chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<tiff:Orientation>6</tiff:Orientation>")),
    ],
    ids=["eXIf", "hexadecimal text", "XMP", "packed XMP"],
)
def test_orientation_of_a_png_is_read_from_every_place(part: bytes, before: bytes) -> None:
    upright = SIGN.crop((0, 0, 128, 96))
    payload = with_chunks(part, payload=encoded(upright.rotate(90, expand=True)), before=before)
    assert read_size(payload) == (96, 128)
    assert np.array_equal(decode(payload, SIZE), decode(encoded(upright), SIZE))


def test_texts_of_a_png_are_unpacked_once_for_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have thousands, each of which unpacks to a megabyte; the last of a name counts."""
    unpacked = 0

    def count() -> object:
        nonlocal unpacked
        unpacked += 1
        return make()

    make = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", count)
    profile = zlib.compress(b"\nexif\n26\n" + turned_exif(6).hex().encode())
    last = chunk(b"zTXt", b"Raw profile type exif\0\0" + profile)
    large = zlib.compress(bytes(1_000_000), 9)
    others = [
        chunk(b"zTXt", b"Raw profile type exif\0\0" + large),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + large),
    ]
    kept = keep_essentials(with_chunks(*(1_000 * others), last))
    assert unpacked == 2
    assert kept.count(b"zTXt") == kept.count(b"iTXt") == 1
    upright = SIGN.crop((0, 0, 128, 96))
    payload = with_chunks(*others, last, payload=encoded(upright.rotate(90, expand=True)))
    assert read_size(payload) == (96, 128)


def test_transparent_colour_of_16_bits_is_exact() -> None:
    """The upper byte, which is what the decoder keeps of each sample, does not tell these colours apart."""
    colours = np.zeros((64, 64, 3), np.uint16)
    colours[:32], colours[32:] = (0x1234, 0x5678, 0x9ABC), (0x1234, 0x5678, 0x9ABD)
    pixels = decode(png16(colours, 2, chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC))), (64, 64))
    assert (pixels[:31] == 255).all()
    assert (pixels[33:] == (0x12, 0x56, 0x9A)).all()
    grey = decode(png16(colours[..., 2], 0, chunk(b"tRNS", struct.pack(">H", 0x9ABC))), (64, 64))
    assert (grey[:31] == 255).all()
    assert (grey[33:] == 0x9A).all()


def enlarged(payload: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header gives another size; the pixels that are missing are decoded as grey."""
    position = len(re.split(b"\xff[\xc0\xc2]", payload, maxsplit=1)[0]) + 5
    return payload[:position] + struct.pack(">HH", height, width) + payload[position + 4 :]


def large_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG with a red upper and a blue lower half."""
    image = Image.new("RGB", (width, height), (200, 0, 0))
    image.paste((0, 0, 200), (0, height // 2, width, height))
    return encoded(image, "JPEG")


def test_jpeg_of_a_large_sensor_is_decoded_at_a_reduced_scale() -> None:
    payload = large_jpeg(10_000, 6_600)
    assert MAX_PIXELS < 10_000 * 6_600 <= MAX_REDUCED_PIXELS
    assert read_size(payload) == (6_600, 10_000)
    pixels = decode(payload, SIZE)
    assert np.abs(pixels[:22].astype(int) - (200, 0, 0)).max() < 12
    assert np.abs(pixels[26:].astype(int) - (0, 0, 200)).max() < 12
    assert np.abs(decode(payload, SIZE, (9_000, 3_400, 10_000, 6_600)).astype(int) - (0, 0, 200)).max() < 12
    photo = Picture(payload).decode_photo(LARGE_PIXELS)
    assert photo.pixels.shape[0] * photo.pixels.shape[1] <= LARGE_PIXELS
    assert (photo.height, photo.width) == (6_600, 10_000)
    assert np.abs(photo.resize(SIZE, (9_000, 3_400, 10_000, 6_600)).astype(int) - (0, 0, 200)).max() < 12
    assert read_size(Picture(payload).crop((100, 100, 140, 180))) == (40, 20)
    with pytest.raises(BoxError, match="too small"):
        Picture(payload).crop((100, 100, 112, 180))


def test_large_pictures_that_need_memory_for_all_pixels_are_rejected() -> None:
    with pytest.raises(ImageError, match="limit is 200,000,000 in total"):
        Picture(enlarged(JPEG, 16_000, 12_600))
    for payload in (enlarged(JPEG, 10_000, 6_600), enlarged(encoded(SIGN, "JPEG"), 10_000, 6_600)):
        assert Picture(payload).height == 6_600
    progressive = encoded(SIGN, "JPEG", progressive=True)
    several_scans = progressive.replace(b"\xff\xc2", b"\xff\xc0")
    for payload in (enlarged(progressive, 10_000, 6_600), enlarged(several_scans, 10_000, 6_600)):
        with pytest.raises(ImageError, match=r"at most 64,000,000; save it as a single-scan JPEG \(not progressive\)"):
            Picture(payload)
    with pytest.raises(ImageError, match="limit is 64,000,000 in total"):
        Picture(enlarged(several_scans, 16_000, 12_600))  # a single scan would be too large as well


@pytest.mark.parametrize("animated", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_size_of_avif_pixels_is_read_from_the_pixels(mode: str, animated: bool) -> None:
    """The container may say less than the decoder reserves memory for."""
    image = SIGN.crop((0, 0, 120, 90)).convert(mode)
    options = {"save_all": True, "append_images": [image.rotate(180)]} if animated else {}
    payload = encoded(image, "AVIF", **options)
    size = payload.index(b"ispe") + 8
    smaller = payload[:size] + struct.pack(">II", 8, 8) + payload[size + 8 :]
    for each in (payload, smaller):
        assert read_largest_frame(each) == 120 * 90


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_picture_with_more_pixels_than_its_header_says_is_rejected(kind: str) -> None:
    payload = encoded(Image.new("L", (800, 600)), kind)
    lying = payload.replace(struct.pack(">II", 800, 600), struct.pack(">II", 64, 48))
    assert lying != payload
    with pytest.raises(ImageError, match="damaged"):
        decode(lying, SIZE)


def test_first_frame_of_an_animated_avif_is_decoded() -> None:
    payload = encoded(SIGN, "AVIF", save_all=True, append_images=[SIGN.rotate(180)], quality=90)
    assert np.abs(decode(payload, SIZE).astype(int) - PIXELS).mean() < 3


PEAK = """
import sys
from pathlib import Path
from data.images import Picture
payload = sys.stdin.buffer.read()

def peak_kb():  # the peak that getrusage gives would include the parent's
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

before = peak_kb()
{work}
print((peak_kb() - before) // 1024)
"""


def peak_mb(payload: bytes, work: str) -> int:
    """Return how much memory Python code needs at most in a process of its own that knows `Picture` and `payload`."""
    command = [sys.executable, "-c", PEAK.format(work=work)]
    return int(subprocess.run(command, input=payload, capture_output=True, cwd=ROOT, check=True).stdout)


@pytest.mark.parametrize(("width", "height"), [(65_000, 980), (8_000, 8_000), (980, 65_000), (16_000, 12_500)])
def test_large_jpeg_needs_little_memory(width: int, height: int) -> None:
    payload = enlarged(JPEG, width, height)
    assert peak_mb(payload, "assert Picture(payload).decode_photo(2_000_000).pixels.size <= 6_000_000") < 100


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF"])
def test_pixels_of_a_large_picture_are_freed_once_it_is_reduced(kind: str) -> None:
    """Each takes 48 MB as Pillow stores it; decoders of some formats need as much again."""
    payload = encoded(Image.new("RGB", (4_000, 3_000), (200, 0, 0)), kind)
    one = peak_mb(payload, "Picture(payload).decode_photo(100_000)")
    several = "pictures = [Picture(payload) for _ in range(5)]; [each.decode_photo(100_000) for each in pictures]"
    assert peak_mb(payload, several) < one + 48


def test_picture_can_be_decoded_only_once() -> None:
    picture = Picture(PNG)
    picture.decode_photo(10_000)
    assert picture.upright_size() == (128, 128)
    for again in (
        lambda: picture.decode(SIZE),
        lambda: picture.decode_photo(10_000),
        lambda: picture.crop((0, 0, 9, 9)),
    ):
        with pytest.raises(RuntimeError, match="only once"):
            again()


BASES = [encoded(SIGN, kind) for kind in ("AVIF", "HEIF", "PNG", "JPEG")]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200, deadline=None)
@given(
    base=st.sampled_from(BASES),
    changes=st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.integers(0, 2000),
)
def test_damaged_files_of_telephones_are_decoded_or_rejected(
    base: bytes, changes: list[tuple[int, bytes]], cut: int
) -> None:
    damaged = bytearray(base)
    for position, content in changes:
        damaged[position : position + len(content)] = content
    with suppress(ImageError):
        assert Picture(bytes(damaged[: len(damaged) - cut])).decode_photo(10_000).resize(SIZE).shape == (*SIZE, 3)


def test_reduced_photo_is_the_mean_of_squares() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 17, 3), np.uint8)
    photo = Picture(encoded(Image.fromarray(pixels))).decode_photo(1000)
    assert np.array_equal(photo.reduce(1), pixels)
    reduced = photo.reduce(3)
    assert reduced.shape == (4, 6, 3)
    squares = pixels[:9, :15].reshape(3, 3, 5, 3, 3).mean(axis=(1, 3))
    assert np.abs(reduced[:3, :5] - squares).max() <= 1
