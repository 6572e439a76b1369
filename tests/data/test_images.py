"""The decoder: unusual pictures are decoded correctly or rejected with a reason."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.errors import BoxError, ImageError
from data.images import FORMATS, MAX_BYTES, MAX_PIXELS, MAX_WEBP_PIXELS, Picture, decode, encode, read_size
from data.photo import Photo
from tests.conftest import awkward_pictures, drawing, encoded

SIZE = (48, 48)
SIGN = drawing()


def halves(mode: str = "RGB", size: tuple[int, int] = (96, 96)) -> Image.Image:
    """Return a picture whose upper half is red and whose lower half is blue."""
    image = Image.new("RGB", size, (200, 0, 0))
    image.paste((0, 0, 200), (0, size[1] // 2, *size))
    return image.convert(mode)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header gives a size but that contains no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def mean_difference(payload: bytes, reference: bytes) -> float:
    return float(np.abs(decode(payload, SIZE).astype(int) - decode(reference, SIZE).astype(int)).mean())


@pytest.mark.parametrize("kind", ["PNG", "PPM", "BMP"])
def test_lossless_formats_give_the_same_pixels(kind: str) -> None:
    assert np.array_equal(decode(encoded(SIGN, kind), SIZE), decode(encoded(SIGN), SIZE))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95}), ("GIF", {})])
def test_lossy_formats_give_nearly_the_same_pixels(kind: str, options: dict[str, int]) -> None:
    assert mean_difference(encoded(SIGN, kind, **options), encoded(SIGN)) < 6


def test_result_has_the_requested_size() -> None:
    pixels = decode(encoded(SIGN), (32, 40))
    assert pixels.shape == (32, 40, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_colours_are_preserved_in_every_mode(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    pixels = decode(encoded(halves(mode), kind), SIZE)
    assert np.abs(pixels[4, 24].astype(int) - (200, 0, 0)).max() < 12
    assert np.abs(pixels[44, 24].astype(int) - (0, 0, 200)).max() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_modes_are_converted_to_rgb(mode: str) -> None:
    pixels = decode(encoded(Image.new(mode, (64, 64), 1 if mode == "1" else 255)), SIZE)
    assert (pixels == 255).all()


def test_16_bit_samples_are_scaled_and_not_clipped() -> None:
    samples = np.full((64, 64), 32768, np.uint16)
    assert np.unique(decode(encoded(Image.fromarray(samples)), SIZE)) == [128]


def test_transparent_pixels_become_white() -> None:
    assert (decode(encoded(Image.new("RGBA", (64, 64), (0, 0, 0, 0))), SIZE) == 255).all()


def test_transparency_of_a_palette_is_respected() -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([10, 20, 30])
    assert (decode(encoded(image, transparency=0), SIZE) == 255).all()


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, 270)])
def test_exif_orientation_is_applied(orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = encoded(halves().rotate(turn), "JPEG", exif=exif)
    assert mean_difference(turned, encoded(halves())) < 6


def test_box_is_cropped_before_resizing() -> None:
    pixels = decode(encoded(halves()), SIZE, (10, 0, 90, 48))
    assert (pixels == (200, 0, 0)).all()  # the blue half does not bleed in
    assert np.array_equal(decode(encoded(SIGN), SIZE, (0, 0, 96, 96)), decode(encoded(SIGN), SIZE))


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 180), (6, 90), (8, 270)])
def test_box_and_size_refer_to_the_upright_picture(orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = halves(size=(60, 100))
    for kind in ("PNG", "JPEG", "WEBP"):
        payload = encoded(upright.rotate(turn, expand=True), kind, exif=exif)
        assert read_size(payload) == (100, 60)
        lower = decode(payload, SIZE, (0, 60, 60, 100))
        assert np.abs(lower.astype(int) - (0, 0, 200)).max() < 12


def test_box_of_a_large_jpeg_is_cropped_at_full_resolution() -> None:
    large = SIGN.resize((1200, 1200))
    box = (500, 300, 700, 640)
    cropped = decode(encoded(large, "JPEG", quality=95), SIZE, box)
    assert np.abs(cropped.astype(int) - decode(encoded(large.crop(box)), SIZE)).mean() < 3


@pytest.mark.parametrize("box", [(-1, 0, 96, 96), (0, 0, 97, 96), (0, 0, 96, 97)])
def test_box_outside_the_picture_is_rejected(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(BoxError, match=r"box .* does not lie inside the picture of 96 × 96 pixels"):
        decode(encoded(SIGN), SIZE, box)


@pytest.mark.parametrize("box", [(50, 0, 50, 96), (0, 60, 96, 50)])
def test_empty_box_is_rejected(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(BoxError, match="is empty: left must be < right and top must be < bottom"):
        decode(encoded(SIGN), SIZE, box)


def test_too_small_box_is_rejected() -> None:
    assert decode(encoded(SIGN), SIZE, (0, 0, 8, 8)).shape == (*SIZE, 3)
    with pytest.raises(BoxError, match="the box of 7 × 50 pixels in the picture of 96 × 96 pixels is too small"):
        decode(encoded(SIGN), SIZE, (10, 10, 17, 60))


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items())
def test_crop_decodes_to_the_same_pixels_as_the_box(name: str, payload: bytes) -> None:
    height, width = read_size(payload)
    box = (width // 8, height // 4, width - 8, height - 3)
    crop = Picture(payload).crop(box)
    assert read_size(crop) == (box[3] - box[1], box[2] - box[0]), name
    assert np.array_equal(decode(crop, SIZE), decode(payload, SIZE, box)), name


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items())
def test_crop_with_a_margin_repeats_the_edges(name: str, payload: bytes) -> None:
    height, _ = read_size(payload)
    around = (-7, height - 40, 45, height + 5)
    crop = Picture(payload).crop((0, height - 30, 30, height), around)
    assert read_size(crop) == (45, 52), name
    assert np.array_equal(decode(crop, (45, 52)), Picture(payload).decode_photo(2_000_000).resize((45, 52), around)), (
        name
    )


def test_crop_with_a_margin_needs_a_box_in_the_picture() -> None:
    with pytest.raises(BoxError, match="does not lie inside"):
        Picture(encoded(SIGN)).crop((90, 0, 100, 20), (88, 0, 102, 22))


def test_crop_contains_no_metadata() -> None:
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "Maker"})
    for kind in ("PNG", "JPEG"):
        crop = Picture(encoded(SIGN, kind, exif=exif, icc_profile=b"a profile")).crop((0, 0, 50, 50))
        assert b"Maker" not in crop
        assert b"iCCP" not in crop


@pytest.mark.parametrize("kind", FORMATS)
def test_extension_matches_the_format(kind: str) -> None:
    assert Picture(encoded(SIGN, kind)).extension == f".{kind.lower()}"
    assert Picture(encoded(SIGN, "MPO", save_all=True, append_images=[SIGN])).extension == ".jpeg"


def test_first_frame_of_an_animation_is_decoded() -> None:
    frames = [halves(), halves().rotate(180)]
    assert mean_difference(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), encoded(halves())) < 6


def test_large_jpeg_decoded_at_reduced_scale_looks_like_the_original() -> None:
    large = SIGN.resize((1200, 1200))
    assert mean_difference(encoded(large, "JPEG", quality=95), encoded(large)) < 3


@pytest.mark.parametrize(("name", "payload"), [*awkward_pictures().items(), ("drawing", encoded(SIGN))])
def test_small_photo_has_the_same_pixels_as_the_decoded_picture(name: str, payload: bytes) -> None:
    photo = Picture(payload).decode_photo(2_000_000)
    assert photo.scale == 1
    assert (photo.height, photo.width) == read_size(payload)
    if name != "large JPEG":  # `decode` decodes it at a reduced scale
        assert np.array_equal(photo.resize(SIZE), decode(payload, SIZE)), name
    assert np.array_equal(photo.resize(photo.pixels.shape[:2]), photo.pixels), name
    box = (5, 7, 60, 90)
    assert np.array_equal(photo.resize(SIZE, box), decode(payload, SIZE, box)), name


@pytest.mark.parametrize(("kind", "scale"), [("PNG", 0.4), ("JPEG", 0.4), ("MPO", 0.4)])
def test_large_photo_is_decoded_to_the_requested_number_of_pixels(kind: str, scale: float) -> None:
    large = halves(size=(1001, 2003))
    photo = Picture(encoded(large, kind)).decode_photo(320_000)
    rows, columns, _ = photo.pixels.shape
    assert (photo.height, photo.width) == (2003, 1001)
    assert 318_000 < rows * columns <= 320_000
    assert photo.scale == pytest.approx(columns / 1001) == pytest.approx(rows / 2003, abs=0.002)
    assert photo.scale == pytest.approx(scale, abs=0.002)
    assert np.abs(photo.resize(SIZE, (0, 0, 1001, 990)).astype(int) - (200, 0, 0)).max() < 12
    assert np.abs(photo.resize(SIZE, (0, 1010, 1001, 2003)).astype(int) - (0, 0, 200)).max() < 12


def test_photo_is_upright_and_its_boxes_are_in_pixels_of_the_full_resolution() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = halves(size=(1200, 1600)).rotate(90, expand=True)
    photo = Picture(encoded(turned, "JPEG", exif=exif)).decode_photo(30_000)
    assert (photo.height, photo.width) == (1600, 1200)
    assert photo.pixels.shape == (200, 150, 3)
    assert np.abs(photo.resize(SIZE, (0, 820, 1200, 1600)).astype(int) - (0, 0, 200)).max() < 12


def test_box_of_a_photo_may_be_fractional_and_reach_beyond_the_edges() -> None:
    photo = Picture(encoded(halves())).decode_photo(10_000)
    assert (photo.resize(SIZE, (-100.5, -30.25, 0.5, 47.75)) == (200, 0, 0)).all()
    assert (photo.resize(SIZE, (300, 60, 400.5, 500)) == (0, 0, 200)).all()
    middle = photo.resize((4, 4), (-10, 0, 106, 96))
    assert (middle[0] == (200, 0, 0)).all()
    assert (middle[3] == (0, 0, 200)).all()
    shifted = [photo.resize((96, 8), (0, top, 8, top + 96))[47, 0, 0] for top in (0, 0.25, 0.5, 1)]
    assert shifted == [200, 150, 100, 0]


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (0, 0, float("nan"), 9), (0, 0, float("inf"), 9)])
def test_empty_box_of_a_photo_is_rejected(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BoxError, match="is empty"):
        Picture(encoded(SIGN)).decode_photo(10_000).resize(SIZE, box)


def test_encoded_pixels_decode_to_the_same_pixels() -> None:
    pixels = np.asarray(drawing(size=48))
    assert np.array_equal(decode(encode(pixels), (48, 48)), pixels)


def test_exif_that_pillow_cannot_write_is_read() -> None:
    """The maker is a rational number, which Pillow can read but not write."""
    tags = struct.pack(">HHII", 0x010F, 5, 1, 38) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    block = b"MM\0*" + struct.pack(">IH", 8, 2) + tags + struct.pack(">III", 0, 1, 2)
    turned = encoded(halves().rotate(90), "JPEG", exif=b"Exif\0\0" + block)
    assert mean_difference(turned, encoded(halves())) < 6


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%PDF-1.7 something", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (encoded(SIGN)[:400], "damaged or truncated"),
        (encoded(SIGN, "JPEG")[:200], "not a picture"),
        (encoded(SIGN, "TIFF"), "not a picture in a known format"),
        (encoded(Image.new("RGB", (1, 1))), "each side must have"),
        (encoded(Image.new("RGB", (7, 100))), "each side must have"),
        (png_header(20_000, 20_000), "20,000 × 20,000"),
        (bytes(MAX_BYTES + 1), "the limit is 20,971,520"),
        (b"Pf\n32 32\n-1.0\n" + bytes(4 * 32 * 32), "floating-point"),
    ],
    ids=[
        *(
            "empty",
            "text",
            "pdf",
            "svg",
            "truncated png",
            "truncated jpeg",
            "tiff",
            "1 × 1",
            "narrow",
            "400 megapixels",
        ),
        *("too many bytes", "floating point"),
    ],
)
def test_unreadable_bytes_are_rejected_with_a_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(payload, SIZE)


@pytest.mark.parametrize("payload", [b"", b"hello", png_header(20_000, 20_000), encoded(Image.new("RGB", (7, 100)))])
def test_size_of_an_invalid_picture_is_rejected(payload: bytes) -> None:
    with pytest.raises(ImageError):
        read_size(payload)


@pytest.mark.parametrize(
    ("kind", "size", "limit"), [("PNG", (9000, 8000), MAX_PIXELS), ("WEBP", (7000, 5000), MAX_WEBP_PIXELS)]
)
def test_huge_picture_is_rejected_by_its_header(kind: str, size: tuple[int, int], limit: int) -> None:
    """A decompression bomb, 200 MB of pixels in 200 KB, must be rejected without decoding it."""
    bomb = encoded(Image.new("L", size), kind)
    with pytest.raises(ImageError, match=f"{size[0]:,} × {size[1]:,} pixels; the limit is {limit:,}"):
        decode(bomb, SIZE)


EXIF = Image.Exif()
EXIF.update({0x0112: 6, 0x010F: "Maker", 0x011A: 72.0})
BASES = [encoded(SIGN, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM")]
BASES += [encoded(SIGN, kind, exif=EXIF) for kind in ("PNG", "JPEG", "WEBP")]


def test_jpeg_with_too_many_scans_is_rejected() -> None:
    """Each scan of a progressive JPEG may touch all pixels, so that a small file could take minutes to decode."""
    picture = encoded(Image.new("L", (316, 316)), "JPEG", progressive=True)
    assert decode(picture, SIZE).shape == (*SIZE, 3)
    scan = picture.index(b"\xff\xda")
    with pytest.raises(ImageError, match="scans"):
        decode(picture[:scan] + 100 * picture[scan:-2], SIZE)
    behind = picture + 100 * picture[scan:-2]  # is no part of the picture
    assert np.array_equal(decode(behind, SIZE), decode(picture, SIZE))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns about tags that it skips
@settings(max_examples=300, deadline=None)
@given(
    base=st.sampled_from(BASES),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.integers(0, 4000),
)
def test_damaged_files_are_decoded_or_rejected(base: bytes, changes: list[tuple[int, bytes]], cut: int) -> None:
    damaged = bytearray(base)
    for position, content in changes:
        damaged[position : position + len(content)] = content
    with suppress(ImageError):
        assert decode(bytes(damaged[: len(damaged) - cut]), SIZE).shape == (*SIZE, 3)


@pytest.mark.parametrize(("name", "payload"), awkward_pictures().items())
def test_preview_shows_the_upright_picture(name: str, payload: bytes) -> None:
    shown = Picture(payload).decode_photo(2_000_000).preview(1600)
    assert shown.startswith(b"\xff\xd8"), name
    assert read_size(shown) == read_size(payload), name
    assert np.abs(decode(shown, SIZE).astype(int) - decode(payload, SIZE)).mean() < 4, name


@pytest.mark.parametrize(("width", "height"), [(400, 100), (100, 400), (2000, 1)])
def test_preview_of_a_large_picture_is_reduced_and_keeps_its_shape(width: int, height: int) -> None:
    photo = Photo(Image.new("RGB", (width, height), "red"), (height, width))
    factor = 200 / max(width, height)
    assert read_size_of(photo.preview(200)) == (max(1, round(factor * height)), round(factor * width))


def test_preview_contains_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    payload = encoded(SIGN, "JPEG", exif=exif, comment=b"a comment", icc_profile=b"a profile")
    preview = Picture(payload).decode_photo(1_000_000).preview(1600)
    assert not any(part in preview for part in (b"Maker", b"a comment", b"a profile"))


def read_size_of(payload: bytes) -> tuple[int, int]:
    """Return (height, width) of a picture that may be narrower than those that are recognised."""
    with Image.open(io.BytesIO(payload)) as image:
        return image.height, image.width
