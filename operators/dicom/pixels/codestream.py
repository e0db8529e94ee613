"""What an encoded image says of itself in its first bytes.

Decoders trust it: one that contradicts the DICOM header may make them allocate gigabytes, write out of bounds or end
the process.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
END = b"\xff\xd9"
"""End of image and, in JPEG 2000, end of codestream."""

_TILE_PART_START = b"\xff\x90"
_MIN_TILE_PART = 14
_MAX_PADDING = 64
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers of JPEG (ITU-T T.81 table B.1) and JPEG-LS (T.87 C.1.1)."""


class Codestream(NamedTuple):
    """Size and depth of an image.

    precision : bits of a sample
    """

    rows: int
    columns: int
    components: int
    precision: int


def read_codestream(encoded: bytes) -> Codestream | None:
    """None when it is neither JPEG, JPEG-LS nor a JPEG 2000 codestream, or damaged."""
    try:
        if encoded.startswith(_JPEG_2000_START):
            return _jpeg_2000(encoded)
        if encoded.startswith(_JPEG_START):
            return next(_jpeg_frames(encoded), None)
    except (struct.error, IndexError):
        return None
    return None


def is_whole(encoded: bytes) -> bool:
    """Whether all is there up to the end marker; decoders fill what is missing of a shorter image and say nothing."""
    if not encoded[-_MAX_PADDING:].rstrip(b"\0").endswith(END):
        return False
    return not encoded.startswith(_JPEG_2000_START) or _tile_parts_add_up(encoded)


def _tile_parts_add_up(encoded: bytes) -> bool:
    """The main header's segments, then tile parts of the lengths that they name, up to the end (T.800 A.4.2)."""
    offset = len(_JPEG_2000_START) // 2
    try:
        while (marker := encoded[offset : offset + 2]) not in (_TILE_PART_START, END):
            offset += 2 + int(struct.unpack_from(">H", encoded, offset + 2)[0])
        while marker == _TILE_PART_START:
            (length,) = struct.unpack_from(">L", encoded, offset + 6)
            if length == 0:  # the last one may leave its length open
                return True
            offset += max(length, _MIN_TILE_PART)
            marker = encoded[offset : offset + 2]
    except struct.error:
        return False
    return marker == END


def _jpeg_2000(encoded: bytes) -> Codestream:
    """From the SIZ segment (ITU-T T.800 A.5.1): the image area is the grid less its offset."""
    width, height, left, top = struct.unpack_from(">LLLL", encoded, 8)
    components, depth = struct.unpack_from(">HB", encoded, 40)
    return Codestream(height - top, width - left, components, (depth & 0x7F) + 1)


def _jpeg_frames(encoded: bytes) -> Iterator[Codestream]:
    offset = len(_JPEG_START)
    while offset < len(encoded):
        if encoded[offset] != 0xFF:
            return
        marker = encoded[offset + 1]
        offset += 1 if marker == 0xFF else 2
        if marker == 0xFF or marker in _NO_LENGTH:
            continue
        if marker in _FRAME_HEADERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", encoded, offset + 2)
            yield Codestream(rows, columns, components, precision)
        (length,) = struct.unpack_from(">H", encoded, offset)
        offset += length
