"""Reading an AVIF file costs a bounded amount of work, however its parts refer to each other."""

import struct

import pytest

from data.avif import MAX_FRAME_BYTES, MAX_PARTS, ends_early, read_largest_frame
from data.errors import ImageError
from data.images import Picture
from tests.conftest import drawing, encoded

AVIF = encoded(drawing(size=96), "AVIF")
FRAME, OTHER = 1, 2  # numbers of items


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def container(iloc: bytes, frames: bytes = b"") -> bytes:
    """Return a file whose item `FRAME` is a frame of AV1; where its items lie is up to `iloc`."""
    infe = box(b"infe", b"\2\0\0\0" + struct.pack(">HH", FRAME, 0) + b"av01\0")
    iinf = box(b"iinf", bytes(4) + struct.pack(">H", 1) + infe)
    meta = box(b"meta", bytes(4) + iinf + box(b"iloc", iloc))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + meta + box(b"mdat", frames)


def items(*extents_of: tuple[int, int]) -> bytes:
    """Return an `iloc` with items, each with a number of extents that are the whole file and take no bytes to list."""
    entries = [struct.pack(">HHH", item, 0, count) for item, count in extents_of]
    return bytes(6) + struct.pack(">H", len(entries)) + b"".join(entries)


def with_frame(units: bytes) -> bytes:
    """Return a file with one frame of these units of AV1."""

    def iloc(start: int) -> bytes:
        return struct.pack(">IHHHHHII", 0, 0x4400, 1, FRAME, 0, 1, start, len(units))

    return container(iloc(len(container(iloc(0)))), units)


def sequence_header(timing: str) -> bytes:
    """Return a unit of AV1 with a sequence header of 16 × 16 pixels and these bits of timing."""
    bits = f"000 0 0 1{timing}" + "0 00000" + 12 * "0" + "00000" + "0011 0011 1111 1111"
    bits = bits.replace(" ", "")
    content = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return bytes([1 << 3]) + content


@pytest.mark.parametrize(
    "iloc",
    [
        items((OTHER, MAX_PARTS + 1)),
        items((FRAME, MAX_PARTS + 1)),
        items(*((OTHER, 0) for _ in range(MAX_PARTS + 1))),
        items(*((FRAME, MAX_PARTS // 100) for _ in range(101))),
    ],
    ids=["extents of another item", "extents of a frame", "items", "both"],
)
def test_file_with_too_many_items_or_extents_is_rejected(iloc: bytes) -> None:
    with pytest.raises(ValueError, match="too many parts"):
        read_largest_frame(container(iloc))


def test_file_whose_items_share_too_many_bytes_is_rejected() -> None:
    frames = bytes([15 << 3]) + bytes(1024**2)  # padding, which is skipped
    few, many = MAX_FRAME_BYTES // 1024**2 // 2, MAX_FRAME_BYTES // 1024**2 + 1
    assert read_largest_frame(container(items((FRAME, few)), frames)) == 0
    for iloc in (items((FRAME, many)), items(*((FRAME, 1) for _ in range(many)))):
        with pytest.raises(ValueError, match="too many parts"):
            read_largest_frame(container(iloc, frames))


def test_file_with_too_many_boxes_or_units_is_rejected() -> None:
    free = box(b"free", b"")
    with pytest.raises(ValueError, match="too many parts"):
        read_largest_frame(AVIF + (MAX_PARTS + 1) * free)
    with pytest.raises(ValueError, match="too many parts"):
        read_largest_frame(with_frame((MAX_PARTS + 1) * b"\x7a\0"))
    assert not ends_early(AVIF + (MAX_PARTS + 1) * free + free[:7])
    with pytest.raises(ImageError, match="damaged or truncated: it has too many parts"):
        Picture(AVIF + (MAX_PARTS + 1) * free)


def test_number_of_variable_length_has_an_end() -> None:
    """Decoders stop at 32 zeros, too; the file could have 160 million."""
    ticks = 64 * "0" + "1"
    assert read_largest_frame(with_frame(sequence_header(f"{ticks}{31 * '0'}1{31 * '1'}0"))) == 16 * 16
    with pytest.raises(ValueError, match="number is too long"):
        read_largest_frame(with_frame(sequence_header(f"{ticks}{32 * '0'}1{32 * '1'}0")))
