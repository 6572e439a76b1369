"""Which way up a picture is, from metadata that may have faults of every other kind."""

import re
from collections.abc import Mapping
from typing import Any

UPRIGHT = 1
_TAG = 0x0112  # of EXIF 3.0, section 4.6.5.1
_INTEGERS = {3: 2, 4: 4, 8: 2, 9: 4}  # bytes of a value, by type: short, long, and both with a sign
_ENTRY = 12  # bytes
_XMP = r'tiff:Orientation(?:="|>)([0-9])'


def read_orientation(metadata: Mapping[Any, object]) -> int:
    """Return the orientation of a picture as a number of EXIF: 1 is upright, others are valid up to 8.

    Everything else in the metadata is ignored, so that its faults do no harm.

    Args:
        metadata: what Pillow gives as the `info` of a picture.
    """
    exif = metadata.get("exif")
    if exif is None:
        exif = _from_text(metadata.get("Raw profile type exif"))
    found = _in_exif(exif) if isinstance(exif, bytes) else None
    if found is None:
        found = _in_xmp(metadata.get("XML:com.adobe.xmp") or metadata.get("xmp"))
    return UPRIGHT if found is None else found


def _in_exif(block: bytes) -> int | None:
    """Return the value in the first directory of an EXIF block, a TIFF file; None if there is none."""
    block = re.sub(rb"^(Exif\0\0){1,2}", b"", block)
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return None

    def number(position: int, length: int) -> int:
        return int.from_bytes(block[position : position + length], "little" if block[:1] == b"I" else "big")

    start = number(4, 4)
    first = start + 2
    for entry in range(first, min(first + number(start, 2) * _ENTRY, len(block) - _ENTRY + 1), _ENTRY):
        if number(entry, 2) == _TAG:
            size, count = _INTEGERS.get(number(entry + 2, 2), 0), number(entry + 4, 4)
            if not size or not count:
                continue
            return number(entry + 8 if size * count <= 4 else number(entry + 8, 4), size)
    return None


def _in_xmp(packet: object) -> int | None:
    if isinstance(packet, bytes):
        packet = packet.decode("latin-1")
    match = re.search(_XMP, packet) if isinstance(packet, str) else None
    return int(match[1]) if match else None


def _from_text(profile: object) -> bytes | None:
    """Return the EXIF block that some PNG files have as text: hexadecimal digits after three lines."""
    try:
        return bytes.fromhex("".join(str(profile).split("\n")[3:])) if profile else None
    except ValueError:
        return None
