"""Takes from a PNG file (ISO/IEC 15948) what its pixels do not need, so that faults there do no harm."""

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000  # later ones are left out; encoders write at least some kilobytes of pixels into each
MAX_TEXT_BYTES = 1024 * 1024  # of an unpacked text; Pillow rejects pictures with longer ones

_FRAME = 12  # bytes of a chunk besides its content: length, kind, checksum
_COLOUR_TYPE, _INTERLACED = 25, 28  # positions in the file
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_TEXTS_WITH_ORIENTATION = {b"exif", b"Raw profile type exif", b"XML:com.adobe.xmp"}
_TRANSPARENT_BYTES = {0: 2, 2: 6, 3: 0}  # least length of tRNS, by colour type


def keep_essentials(payload: bytes) -> bytes:
    """Return a PNG file with the chunks of its pixels, preceded by those that may give its orientation.

    Other chunks, those with a wrong checksum or without an end, animations and data behind the end are left out. Chunks
    that a decoder must understand are kept, even with faults.

    Args:
        payload: a file that starts with `SIGNATURE`; it may be damaged.
    """
    view = memoryview(payload)
    pixels: list[memoryview] = [view[: len(SIGNATURE)]]
    metadata: dict[bytes, memoryview] = {}  # as in decoders, the last of a kind counts
    position, seen_pixels, in_first_frame = len(SIGNATURE), False, True
    for _ in range(MAX_CHUNKS):
        kind = payload[position + 4 : position + 8]
        end = position + _FRAME + int.from_bytes(payload[position : position + 4])
        chunk, content = view[position:end], view[position + 8 : end - 4]
        is_critical = not kind[:1].islower()
        if is_critical:
            pixels.append(chunk)
        elif end > len(payload):
            break
        elif kind == b"fcTL" and seen_pixels:
            in_first_frame = False
        elif zlib.crc32(view[position + 4 : end - 4]) == int.from_bytes(view[end - 4 : end]):
            if kind == b"tRNS":
                if len(content) >= _TRANSPARENT_BYTES.get(payload[_COLOUR_TYPE], 0):
                    pixels.append(chunk)
            elif in_first_frame and (name := _name_metadata(kind, bytes(content))):
                metadata[name] = chunk  # unpacked only after the walk: a file may have thousands of them
        position = end
        seen_pixels = seen_pixels or kind == b"IDAT"
        if kind == b"IEND" or position >= len(payload):
            break
    readable = [chunk for chunk in metadata.values() if _can_be_unpacked(bytes(chunk[4:8]), bytes(chunk[8:-4]))]
    return b"".join([*pixels[:2], *readable, *pixels[2:]])  # the signature and the header come first


def may_lack_rows(payload: bytes) -> bool:
    """Say whether a file ends early and has its rows in order, so that the rows before its end can be shown.

    Args:
        payload: what `keep_essentials` returned.
    """
    return b"IEND" not in payload[-8:] and payload[_INTERLACED : _INTERLACED + 1] == b"\0"


def _name_metadata(kind: bytes, content: bytes) -> bytes | None:
    """Return under which name to keep a chunk because it may give the orientation, or None."""
    if kind == b"eXIf":
        return b"exif"
    name = content.partition(b"\0")[0]
    return name if kind in _TEXTS and name in _TEXTS_WITH_ORIENTATION else None


def _can_be_unpacked(kind: bytes, content: bytes) -> bool:
    """Say whether a chunk is not packed, or packed as a decoder expects."""
    rest = content.partition(b"\0")[2]
    if kind in {b"eXIf", b"tEXt"} or (kind == b"iTXt" and rest[:1] == b"\0"):
        return True
    method, packed = (rest[:1], rest[1:]) if kind == b"zTXt" else (rest[1:2], rest[2:].split(b"\0", 2)[-1])
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, MAX_TEXT_BYTES)
    except zlib.error:
        return False
    return method == b"\0" and not unpacker.unconsumed_tail
