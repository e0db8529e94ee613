import struct

import pytest

from operators.dicom.pixels.codestream import is_whole, read_codestream

JPEG = b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + b"\xff\xff\xc1" + struct.pack(">HBHHB", 11, 12, 480, 640, 1)
JPEG_2000 = (
    b"\xff\x4f\xff\x51" + struct.pack(">HHLLLL", 41, 0, 650, 490, 10, 10) + bytes(16) + struct.pack(">HB", 3, 15)
)
JPEG_2000_HEADER = JPEG_2000 + b"\x01\x01"
"""With the sampling that the segment of 41 bytes ends with."""


def test_sizes_are_read_from_the_first_segments():
    assert read_codestream(JPEG) == (480, 640, 1, 12)
    assert read_codestream(JPEG_2000) == (480, 640, 3, 16)


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff", JPEG[:-3], JPEG[:9], JPEG_2000[:30], b"\x89PNG", JPEG[:8] + b"\x00" * 9]
)
def test_what_tells_no_size_has_none(damaged: bytes):
    assert read_codestream(damaged) is None


def test_an_image_is_whole_when_its_end_marker_is_there():
    assert is_whole(JPEG + b"\xff\xd9")
    assert is_whole(JPEG + b"\xff\xd9\x00")
    assert not is_whole(JPEG)


def tile_part(number: int, *, size: int, length: int | None = None) -> bytes:
    """Of *size* bytes in all; *length* is what it says of itself."""
    start = b"\xff\x90" + struct.pack(">HHLBB", 10, number, size if length is None else length, 0, 1) + b"\xff\x93"
    return start + bytes(size - len(start))


WHOLE_TILES = {
    "two parts": tile_part(0, size=40) + tile_part(1, size=30) + b"\xff\xd9",
    "padded": tile_part(0, size=40) + b"\xff\xd9\x00",
    "a last part of open length": tile_part(0, size=40) + tile_part(1, size=30, length=0) + b"\xff\xd9",
}
BROKEN_TILES = {
    "bytes lost": tile_part(0, size=40)[:-3] + tile_part(1, size=30) + b"\xff\xd9",
    "bytes lost at the end": tile_part(0, size=40)[:-3] + b"\xff\xd9",
    "a length of nothing": tile_part(0, size=40, length=1) + b"\xff\xd9",
    "no tiles at all": bytes(40) + b"\xff\xd9",
}


@pytest.mark.parametrize("tiles", WHOLE_TILES.values(), ids=WHOLE_TILES.keys())
def test_tile_parts_that_reach_the_end_marker_are_whole(tiles: bytes):
    assert is_whole(JPEG_2000_HEADER + tiles)


@pytest.mark.parametrize("tiles", BROKEN_TILES.values(), ids=BROKEN_TILES.keys())
def test_tile_parts_that_miss_the_end_marker_are_not(tiles: bytes):
    assert not is_whole(JPEG_2000_HEADER + tiles)
