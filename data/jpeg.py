"""Where a JPEG file ends and how many scans it has, from its markers (ITU-T T.81, annex B), without decoding it."""

import re
from dataclasses import dataclass

SIGNATURE = b"\xff\xd8\xff"
END = b"\xff\xd9"
MAX_SEGMENTS = 10_000  # reading more would only take time; a colour profile and thumbnails need some hundred

_START_OF_SCAN = 0xDA
_PROGRESSIVE = {0xC2, 0xCA}  # frames whose scans refine each other, with Huffman or arithmetic codes
_FRAMES = {0xC0, 0xC1, 0xC9, *_PROGRESSIVE}
# Markers that libjpeg takes as the start of a segment with a length. It stops at the other ones or skips their two
# bytes, so that whatever follows them must be looked at.
_WITH_LENGTH = {*range(0xC0, 0xD0), *range(0xDA, 0xE0), *range(0xE0, 0xF0), 0xFE}
# In the data of a scan, a zero byte follows each 0xFF. Restart markers do not end a scan.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Layout:
    """What a JPEG file consists of.

    Attributes:
        scans: number of scans before the end of the first picture, of which data behind it is no part.
        segments: number of markers; counting stops at `MAX_SEGMENTS`.
        end: position behind the last complete segment, or behind the data of a scan.
        complete: there is an end marker.
        is_streamed: one scan has all components, so that a decoder needs to hold some rows only.
    """

    scans: int
    segments: int
    end: int
    complete: bool
    is_streamed: bool


def read_layout(payload: bytes) -> Layout:
    """Walk the markers of a file that starts with `SIGNATURE`, up to the end of the picture."""
    scans = segments = 0
    end = position = 2
    is_streamed, components = True, 0
    in_scan = False
    while segments < MAX_SEGMENTS and (found := _MARKER.search(payload, position)):
        position = found.end()
        marker = payload[position - 1]
        segments += 1
        if marker == END[1]:
            return Layout(scans, segments, position, True, is_streamed and scans == 1)
        if in_scan:
            end = found.start()
        in_scan = False
        if marker not in _WITH_LENGTH:
            continue
        length = int.from_bytes(payload[position : position + 2])
        if position + max(length, 2) > len(payload):
            break
        if marker in _FRAMES:
            components = payload[position + 7] if length > 7 else 0
            is_streamed = marker not in _PROGRESSIVE
        elif marker == _START_OF_SCAN:
            scans += 1
            in_scan = True
            is_streamed = is_streamed and length > 2 and payload[position + 2] == components
        position += max(length, 2)
        end = position
    return Layout(scans, segments, len(payload) if in_scan else end, False, is_streamed and scans == 1)
