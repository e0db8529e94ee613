"""Explicit VR Little Endian by hand (PS3.5 7.1.2), for the few elements that an object repeats thousands of times.

Values are ASCII or numbers; everything else goes through pydicom, which takes a hundred times as long for an element.
"""

import struct
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

_NUMBERS = {"US": "H", "UL": "L"}


def element(keyword: str, *values: str | int) -> bytes:
    """An element with a short length field: a string VR, US or UL."""
    tag, vr = _tag_and_vr(keyword)
    if vr in _NUMBERS:
        content = struct.pack(f"<{len(values)}{_NUMBERS[vr]}", *values)
    else:
        content = "\\".join(map(str, values)).encode("ascii")
        content += (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(content)) + content


def item(*elements: bytes) -> bytes:
    """A sequence item; the elements stand in the order of their tags."""
    content = b"".join(elements)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def sequence(keyword: str, *items: bytes) -> bytes:
    tag, _ = _tag_and_vr(keyword)
    content = b"".join(items)
    return struct.pack("<HH2sHL", tag.group, tag.element, b"SQ", 0, len(content)) + content


def raw_sequence(keyword: str, *items: bytes) -> RawDataElement:
    """A sequence that pydicom writes as it is, and decodes only when somebody asks for it."""
    tag, _ = _tag_and_vr(keyword)
    content = b"".join(items)
    return RawDataElement(tag, "SQ", len(content), content, 0, is_implicit_VR=False, is_little_endian=True)


@cache
def _tag_and_vr(keyword: str) -> tuple[BaseTag, str]:
    tag = tag_for_keyword(keyword)
    assert tag is not None, f"{keyword} is no keyword of the data dictionary"
    return Tag(tag), dictionary_VR(tag)
