"""What text the bytes of a header are, told strictly: by Specific Character Set or not at all (PS3.3 C.12.1.1.2)."""

import warnings
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

Terms = tuple[str, ...]
"""The values of Specific Character Set; none where a header has no such attribute."""

_ALONE = frozenset(f"ISO_IR {number}" for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192)) | {
    "GB18030",
    "GBK",
}
_WITH_OTHERS = frozenset(
    f"ISO 2022 IR {number}" for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166)
)
_DEFAULT_REPERTOIRE = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_KATAKANA = frozenset({"ISO_IR 13", "ISO 2022 IR 13"})
_KATAKANA_BYTES = frozenset(range(0xA1, 0xE0))
_ESCAPE = 0x1B
_HIGHEST_ASCII = 0x7F
_UPPER_CONTROLS = frozenset(map(chr, range(0x7F, 0xA0)))
_REPLACEMENT = "\ufffd"
_NAME_DELIMITERS = {ord("^"), ord("=")}


def character_set_of(header: Dataset) -> Terms:
    """The values as they stand, valid or not."""
    element = header.get_item("SpecificCharacterSet")
    found = element.value if element is not None else None
    if isinstance(found, bytes):
        found = found.decode("latin-1").rstrip("\0 ").split("\\")
    values = found if isinstance(found, MultiValue | list | tuple) else [found or ""]
    terms = tuple(str(value).strip() for value in values)
    return terms if any(terms) else ()


def is_defined(terms: Terms) -> bool:
    """Whether DICOM defines these values and lets them stand together."""
    if len(terms) < 2:
        return set(terms) <= _ALONE | _WITH_OTHERS
    return set(terms) <= _WITH_OTHERS | {""} and "" not in terms[1:]


def text_in(raw: bytes, terms: Terms) -> str | None:
    """The text of an attribute's bytes; None where they are not text in this character set.

    terms : defined ones
    """
    if all(byte <= _HIGHEST_ASCII and byte != _ESCAPE for byte in raw):
        return raw.decode("ascii")
    if not _can_hold(raw, terms):
        return None
    encodings = convert_encodings(list(terms))
    try:
        text = decode_bytes(raw, encodings, _NAME_DELIMITERS) if _ESCAPE in raw else raw.decode(encodings[0])
    except (UnicodeError, LookupError):
        return None
    return None if _REPLACEMENT in text or _UPPER_CONTROLS & set(text) else text


def bytes_in(text: str, terms: Terms) -> bytes | None:
    """The bytes that pydicom writes for a text; None where the character set lacks a letter.

    terms : defined ones
    """
    if text.isascii():
        return text.encode("ascii")
    if not set(terms) - _DEFAULT_REPERTOIRE:
        return None
    with warnings.catch_warnings():
        # pydicom warns of what it writes a question mark for; here that is the question.
        warnings.simplefilter("ignore", UserWarning)
        raw = encode_string(text, convert_encodings(list(terms)))
    return raw if text_in(raw, terms) == text else None


def raw_bytes_of(header: Dataset, keyword: str | BaseTag, terms: Terms | None = None) -> bytes:
    """A text attribute's bytes without the padding at their end; of a value that was read already, as it is written.

    terms : the character set, of an item that has it from the data set around it
    """
    element = header.get_item(keyword)
    if element is None or element.value is None:
        return b""
    if isinstance(element, RawDataElement):
        return bytes(element.value).rstrip(b"\0 ")
    values = element.value if isinstance(element.value, MultiValue | list | tuple) else [element.value]
    terms = character_set_of(header) if terms is None else terms
    return b"\\".join(_as_bytes(value, terms) for value in values).rstrip(b"\0 ")


def _as_bytes(value: object, terms: Terms) -> bytes:
    if isinstance(value, PersonName) and value.original_string:
        return bytes(value.original_string)
    written = bytes_in(str(value), terms) if is_defined(terms) else None
    # What the character set lacks is no text in it, however it is written.
    return str(value).encode("utf-8") if written is None else written


def _can_hold(raw: bytes, terms: Sequence[str]) -> bool:
    """Whether these values allow bytes beyond ASCII and escape sequences at all."""
    if _ESCAPE in raw:
        return set(terms) <= _WITH_OTHERS | {""} and bool(set(terms) - _DEFAULT_REPERTOIRE)
    first = terms[0] if terms else ""
    if first in _KATAKANA:
        return all(byte <= _HIGHEST_ASCII or byte in _KATAKANA_BYTES for byte in raw)
    return first not in _DEFAULT_REPERTOIRE
