"""Values out of headers that may hold anything: absent, empty, malformed, or of a type that the dictionary forbids."""

import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    EOFError,
    OSError,
    struct.error,
    BytesLengthException,
)
"""What pydicom raises on values and value representations that it cannot make sense of."""

_WELL_FORMED_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MAX_UID_LENGTH = 64


@dataclass(frozen=True, slots=True)
class PrivatePlace:
    """Where a vendor keeps a value: its creator, the group, and the element within the creator's block."""

    creator: str
    group: int
    element: int


def value(header: Dataset, keyword: str | BaseTag) -> Any:
    """The value as pydicom gives it; None where it is absent, empty or unreadable."""
    try:
        found = header.get(keyword)
    except UNREADABLE:
        return None
    if found is not None and isinstance(keyword, BaseTag):
        found = found.value
    return None if found == "" else found


def is_unreadable(header: Dataset, keyword: str) -> bool:
    """Whether the header holds the attribute in a form that cannot be read."""
    try:
        header.get(keyword)
    except UNREADABLE:
        return True
    return False


def values(header: Dataset, keyword: str | BaseTag) -> tuple[Any, ...]:
    """All values of an attribute with any multiplicity."""
    found = value(header, keyword)
    if found is None:
        return ()
    return tuple(found) if isinstance(found, MultiValue | list | tuple) else (found,)


def texts(header: Dataset, keyword: str | BaseTag) -> tuple[str, ...]:
    """All values as text, padding taken off, empty ones left out; sequences and bytes have no text."""
    found = (one for one in values(header, keyword) if not isinstance(one, Sequence | bytes))
    return tuple(text for one in found if (text := str(one).strip()))


def text(header: Dataset, keyword: str) -> str:
    """The only value as text; several are joined as they are in the file."""
    return "\\".join(texts(header, keyword))


def numbers(header: Dataset, keyword: str | BaseTag) -> tuple[float, ...]:
    """All values as finite numbers; none at all when one of them is not."""
    try:
        found = _decimals(header, keyword) or tuple(float(number) for number in values(header, keyword))
    except UNREADABLE:
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _decimals(header: Dataset, keyword: str | BaseTag) -> tuple[float, ...]:
    """The numbers of a decimal string that pydicom has not parsed yet.

    Its own type checks each string by a regular expression: for the positions of 275 slices 30 ms, here 2.
    """
    tag = keyword if isinstance(keyword, BaseTag) else tag_for_keyword(keyword)
    element = header.get_item(tag) if tag else None
    if not isinstance(element, RawDataElement) or not element.value or not dictionary_has_tag(element.tag):
        return ()
    if (element.VR or dictionary_VR(element.tag)) != "DS":
        return ()
    return tuple(float(number) for number in element.value.strip(b" \0").split(b"\\"))


def number(header: Dataset, keyword: str | BaseTag) -> float | None:
    """The first value as a number."""
    return next(iter(numbers(header, keyword)), None)


def private_numbers(header: Dataset, place: PrivatePlace) -> tuple[float, ...]:
    """The numbers of a private attribute, found by its creator as PS3.5 7.8.1 asks."""
    try:
        tag = header.private_block(place.group, place.creator).get_tag(place.element)
    except UNREADABLE:
        return ()
    return numbers(header, tag)


def is_uid(text: str) -> bool:
    return len(text) <= _MAX_UID_LENGTH and bool(_WELL_FORMED_UID.fullmatch(text))
