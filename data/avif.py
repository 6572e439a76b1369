"""Reads how large the pixels of an AVIF file are, which its own header need not say.

The file is a container (ISO/IEC 14496-12 and 23008-12) for key frames of AV1, whose headers give the size that a
decoder reserves memory for. A container that says less is no reason for a decoder to stop.
"""

import struct
from collections.abc import Iterator

MAX_PARTS = 10_000  # boxes, items, extents and units that are read of a file; a grid of 1,000 tiles has some 7,000
MAX_FRAME_BYTES = 32 * 1024**2  # of all frames together; several items may share their bytes

_SEQUENCE_HEADER = 1  # type of an open bitstream unit (AV1 specification, section 6.2.2)
_MAX_ZEROS = 31  # before a number of variable length; more mean that it has no valid value (section 4.10.3)
_SEQUENCE_BRAND, _STILL_BRAND = b"avis", b"avif"


def as_still(payload: bytes) -> bytes:
    """Return a file as one of a still picture, so that a decoder takes the picture and not the animation in it."""
    return payload[:8] + _STILL_BRAND + payload[12:] if payload[8:12] == _SEQUENCE_BRAND else payload


def ends_early(payload: bytes) -> bool:
    """Say whether one of the first `MAX_PARTS` boxes of a file is longer than what is left of the file."""
    position = 0
    for _ in range(MAX_PARTS):
        if position >= len(payload):
            break
        length = int.from_bytes(payload[position : position + 4])
        if length == 1:
            length = int.from_bytes(payload[position + 8 : position + 16])
        if length < 8:  # up to the end of the file, or damaged
            return False
        position += length
    return position > len(payload)


def read_largest_frame(payload: bytes) -> int:
    """Return the pixels of the largest frame of AV1 in the pictures of a file; 0 if there is none.

    Raises:
        ValueError, IndexError, struct.error: the file is damaged, or has more than `MAX_PARTS` or `MAX_FRAME_BYTES`.
    """
    largest = 0
    budget = _Budget()
    for kind, meta in _boxes(payload, budget):
        if kind != b"meta":
            continue
        parts = dict(_boxes(meta[4:], budget))
        frames = _list_frames(parts.get(b"iinf", b""), budget)
        for data in _read_frames(parts.get(b"iloc", b""), frames, payload, parts.get(b"idat", b""), budget):
            largest = max([largest, *_sizes(data, budget)])
    return largest


class _Budget:
    """Limits the work on one file, whose few bytes can ask for the same parts again and again."""

    def __init__(self) -> None:
        self._parts, self._bytes = MAX_PARTS, MAX_FRAME_BYTES

    def spend(self, frame_bytes: int = 0) -> None:
        """Count one part.

        Raises:
            ValueError: the file has too many.
        """
        self._parts -= 1
        self._bytes -= frame_bytes
        if self._parts < 0 or self._bytes < 0:
            raise ValueError("it has too many parts")


def _boxes(data: bytes, budget: _Budget) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each box."""
    position = 0
    while position + 8 <= len(data):
        budget.spend()
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = position + length if length else len(data)
        if end < start:
            raise ValueError("a box is shorter than its header")
        if kind != b"mdat":  # the pixels, which are not worth a copy
            yield kind, data[start:end]
        position = end


def _list_frames(iinf: bytes, budget: _Budget) -> set[int]:
    """Return the numbers of the items that are frames of AV1."""
    frames = set()
    for kind, content in _boxes(iinf[6:] if iinf[:1] == b"\0" else iinf[8:], budget):
        if kind == b"infe" and content[0] >= 2:
            form = ">H" if content[0] == 2 else ">I"
            (item,) = struct.unpack_from(form, content, 4)
            if content[6 + struct.calcsize(form) :][:4] == b"av01":
                frames.add(item)
    return frames


def _read_frames(iloc: bytes, frames: set[int], payload: bytes, idat: bytes, budget: _Budget) -> Iterator[bytes]:
    """Yield the content of each item that is a frame, and nothing for others."""
    if not iloc:
        return
    version, reader = iloc[0], _Reader(iloc[4:])
    offset_bits, length_bits, base_bits, index_bits = (reader.take(4) * 8 for _ in range(4))
    wide = 32 if version == 2 else 16
    for _ in range(reader.take(wide)):
        budget.spend()
        item = reader.take(wide)
        in_idat = bool(version) and reader.take(16) & 15 == 1
        reader.take(16)  # which file: this one
        base = reader.take(base_bits)
        source, content = idat if in_idat else payload, []
        for _ in range(reader.take(16)):
            if version:
                reader.take(index_bits)
            offset, length = base + reader.take(offset_bits), reader.take(length_bits)
            part = source[offset : offset + length if length else None] if item in frames else b""
            budget.spend(len(part))
            content.append(part)
        yield b"".join(content)


def _sizes(data: bytes, budget: _Budget) -> Iterator[int]:
    """Yield the pixels of a frame for each sequence header in a stream of AV1."""
    position = 0
    while position < len(data):
        budget.spend()
        header = data[position]
        position += 2 if header & 4 else 1
        length = len(data) - position
        if header & 2:
            length, position = _read_leb128(data, position)
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            yield _read_size(data[position : position + length])
        position += length


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of variable length and the position behind it."""
    number = 0
    for index in range(8):
        byte = data[position + index]
        number |= (byte & 127) << 7 * index
        if byte < 128:
            return number, position + index + 1
    raise ValueError("a number is too long")


def _read_size(header: bytes) -> int:
    """Return the pixels of a frame by its sequence header (AV1 specification, section 5.5.1)."""
    reader = _Reader(header)
    reader.take(3)  # profile
    reader.take(1)  # still picture
    if reader.take(1):  # reduced header
        reader.take(5)
    else:
        delay_bits = 0
        if reader.take(1):  # timing
            reader.take(64)
            if reader.take(1):
                zeros = 0
                while not reader.take(1):
                    zeros += 1
                    if zeros > _MAX_ZEROS:
                        raise ValueError("a number is too long")
                reader.take(zeros)
            if reader.take(1):  # decoder model
                delay_bits = reader.take(5) + 1
                reader.take(42)
        has_delay = reader.take(1)
        for _ in range(reader.take(5) + 1):
            reader.take(12)
            if reader.take(5) > 7:
                reader.take(1)
            if delay_bits and reader.take(1):
                reader.take(2 * delay_bits + 1)
            if has_delay and reader.take(1):
                reader.take(4)
    width_bits, height_bits = reader.take(4) + 1, reader.take(4) + 1
    return (reader.take(width_bits) + 1) * (reader.take(height_bits) + 1)


class _Reader:
    """Reads numbers of some bits, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def take(self, count: int) -> int:
        """Return the next bits as a number.

        Raises:
            IndexError: there are fewer.
        """
        end = self._position + count
        if end > 8 * len(self._data):
            raise IndexError("the data end early")
        first, last = self._position // 8, -(-end // 8)
        self._position = end
        return int.from_bytes(self._data[first:last]) >> 8 * last - end & (1 << count) - 1
