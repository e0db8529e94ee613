import struct

import pytest

from operators.dicom.pixels.codestream import is_whole, read_codestream

JPEG = b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + b"\xff\xff\xc1" + struct.pack(">HBHHB", 11, 12, 480, 640, 1)
JPEG_2000 = (
    b"\xff\x4f\xff\x51" + struct.pack(">HHLLLL", 41, 0, 650, 490, 10, 10) + bytes(16) + struct.pack(">HB", 3, 15)
)


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
