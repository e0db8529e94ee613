"""Reading values from headers that may contain anything: absent, empty, malformed, or of a forbidden type."""

import math
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
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

_WELL_FORMED_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*", re.ASCII)
_MAX_UID_LENGTH = 64
_PLAIN_VRS = frozenset({"CS", "DS", "IS", "UI", "US"})
_MAX_PLAIN_BYTES = 256


@dataclass(frozen=True, slots=True)
class PrivatePlace:
    """Where a vendor keeps a value: its creator, the group, and the element within the creator's block."""

    creator: str
    group: int
    element: int


@lru_cache(maxsize=4096)
def shared_tag(tag: int) -> BaseTag:
    """One object for each tag: tables of elements find it at once, where an equal one costs a comparison in Python."""
    return BaseTag(tag)


def value_of(header: Dataset, keyword: str | BaseTag) -> Any:
    """The value as pydicom gives it; None where it is absent, empty or unreadable."""
    try:
        plain = _plain_element(header, keyword)
        found = _converted(*plain) if plain else None
        # A list can be changed in place, so that each header has to have its own.
        if found is None or isinstance(found, MultiValue):
            found = header.get(keyword)
            if found is not None and isinstance(keyword, BaseTag):
                found = found.value
    except UNREADABLE:
        return None
    return None if found == "" else found


def is_unreadable(header: Dataset, keyword: str) -> bool:
    """Whether the header holds the attribute in a form that cannot be read."""
    try:
        header.get(keyword)
    except UNREADABLE:
        return True
    return False


def values_of(header: Dataset, keyword: str | BaseTag) -> tuple[Any, ...]:
    """All values of an attribute with any multiplicity."""
    found = value_of(header, keyword)
    if found is None:
        return ()
    return tuple(found) if isinstance(found, MultiValue | list | tuple) else (found,)


def texts_of(header: Dataset, keyword: str | BaseTag) -> tuple[str, ...]:
    """All values as text, padding taken off, empty ones left out; sequences and bytes have no text."""
    found = (one for one in values_of(header, keyword) if not isinstance(one, Sequence | bytes))
    return tuple(text for one in found if (text := str(one).strip()))


def text_of(header: Dataset, keyword: str) -> str:
    """The only value as text; several are joined as they are in the file."""
    return "\\".join(texts_of(header, keyword))


def numbers_of(header: Dataset, keyword: str | BaseTag) -> tuple[float, ...]:
    """All values as finite numbers; none at all when one of them is not."""
    try:
        plain = _plain_element(header, keyword)
        if plain and plain[1] == "DS":
            found = _decimals(plain[2])
        else:
            found = tuple(float(number) for number in values_of(header, keyword))
    except UNREADABLE:
        return ()
    return found if all(map(math.isfinite, found)) else ()


_Plain = tuple[BaseTag, str, bytes, bool]
"""Tag, value representation, bytes, and whether they are little endian."""


def _plain_element(header: Dataset, keyword: str | BaseTag) -> _Plain | None:
    """An unread public element of a kind whose bytes alone tell the value, in whatever header they stand.

    Slices of a series share most of their bytes. pydicom takes 15 us for each value of each header, a look-up here 1.
    """
    tag = _known_tag(keyword)
    element = header.get_item(tag) if tag else None
    if not isinstance(element, RawDataElement) or not element.value or len(element.value) > _MAX_PLAIN_BYTES:
        return None
    vr = _plain_vr(element.tag, element.VR)
    return (element.tag, vr, element.value, element.is_little_endian) if vr else None


@lru_cache(maxsize=4096)
def _known_tag(keyword: str | BaseTag) -> BaseTag | None:
    tag = keyword if isinstance(keyword, BaseTag) else tag_for_keyword(keyword)
    return shared_tag(tag) if tag else None


@lru_cache(maxsize=4096)
def _plain_vr(tag: BaseTag, vr: str | None) -> str | None:
    if not dictionary_has_tag(tag):
        return None
    vr = vr or dictionary_VR(tag)
    return vr if vr in _PLAIN_VRS else None


@lru_cache(maxsize=2**15)
def _converted(tag: BaseTag, vr: str, raw: bytes, is_little_endian: bool) -> Any:
    element = RawDataElement(tag, vr, len(raw), raw, 0, False, is_little_endian)
    return convert_raw_data_element(element).value


@lru_cache(maxsize=2**15)
def _decimals(raw: bytes) -> tuple[float, ...]:
    """pydicom's own type checks each string by a regular expression: for the positions of 275 slices 30 ms, here 2."""
    return tuple(float(number) for number in raw.strip(b" \0").split(b"\\"))


def number_of(header: Dataset, keyword: str | BaseTag) -> float | None:
    """The first value as a number."""
    return next(iter(numbers_of(header, keyword)), None)


def private_numbers_of(header: Dataset, place: PrivatePlace) -> tuple[float, ...]:
    """The numbers of a private attribute, found by its creator as PS3.5 7.8.1 asks."""
    try:
        tag = header.private_block(place.group, place.creator).get_tag(place.element)
    except UNREADABLE:
        return ()
    return numbers_of(header, tag)


def is_uid(text: str) -> bool:
    """Digits and points, no component with a leading zero, at most 64 of them (PS3.5 9.1)."""
    return len(text) <= _MAX_UID_LENGTH and bool(_WELL_FORMED_UID.fullmatch(text))
