"""Values of an attribute checked by its value representation, mended where the standard has a way, or refused.

Sources hold whatever somebody typed. Nothing here guesses: a date in the old spelling and a number with too many digits
can be written so that they mean the same, a name that is too long cannot.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydicom.datadict import dictionary_VM
from pydicom.tag import BaseTag
from pydicom.valuerep import DA, DT, TM, DSfloat

from operators.dicom.study.character_sets import Terms, bytes_in, text_in
from operators.dicom.study.header_values import is_uid

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Those that Specific Character Set applies to (PS3.5 6.1.2.2)."""
STRING_VRS = TEXT_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
"""A backslash in these is a letter."""
_LONGEST = {"AE": 16, "CS": 16, "DT": 26, "LO": 64, "LT": 10240, "SH": 16, "ST": 1024, "TM": 16}
_NAME_GROUPS, _NAME_COMPONENTS, _NAME_LETTERS = 3, 5, 64
_NAME_PARTS = re.compile("[=^]")
_LINE_BREAKS = frozenset("\t\n\f\r")
_OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)  # ACR-NEMA 300 (PS3.5 6.2, note to DA)
_OLD_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2}(\.\d{1,6})?)", re.ASCII)
_AGE = re.compile(r"\d{3}[DWMY]", re.ASCII)
_CODE_STRING = re.compile(r"[A-Z0-9_ ]*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,11}", re.ASCII)
_DIGITS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST_DECIMAL = 16
_PERMITTED: Mapping[str, frozenset[str]] = {
    # enumerated values (PS3.3 C.7.1.1, C.7.2.2)
    "PatientSex": frozenset("MFO"),
    "TypeOfPatientID": frozenset({"TEXT", "RFID", "BARCODE"}),
    "QualityControlSubject": frozenset({"YES", "NO"}),
    "PatientIdentityRemoved": frozenset({"YES", "NO"}),
    "SmokingStatus": frozenset({"YES", "NO", "UNKNOWN"}),
    "PatientSexNeutered": frozenset({"ALTERED", "UNALTERED"}),
    "ContextGroupExtensionFlag": frozenset("YN"),
    "Laterality": frozenset("LR"),
    "ImageLaterality": frozenset("LRUB"),
}


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """What a result may write.

    text : values joined by backslashes, None where nothing of it is valid
    complaint : what is wrong with the source's, in words that follow the attribute's name; empty for a valid one
    """

    text: str | None
    complaint: str = ""


def checked_value(raw: bytes, *, tag: BaseTag, keyword: str, vr: str, terms: Terms) -> CheckedValue:
    """The value of a string representation.

    raw : without the padding at its end
    terms : the character set, a defined one
    """
    text = text_in(raw, terms if vr in TEXT_VRS else ())
    if text is None:
        return CheckedValue(None, "has letters outside its character set")
    if vr in _ONE_VALUE:
        return CheckedValue(text) if _is_valid(text, vr, keyword, terms) else CheckedValue(None, "is malformed")
    values = text.split("\\")
    if not _is_permitted_number(len(values), dictionary_VM(tag)):
        return CheckedValue(None, "has too many values")
    mended = [_mended(value.strip(" "), vr) for value in values]
    if not all(_is_valid(value, vr, keyword, terms) for value in mended if value):
        return CheckedValue(None, "is malformed")
    is_changed = mended != [value.strip(" ") for value in values]
    return CheckedValue("\\".join(mended), "is not spelt by the standard" if is_changed else "")


def decimal(number: float) -> str:
    """A number as a decimal string of at most 16 letters."""
    return str(DSfloat(number, auto_format=True))


def _mended(value: str, vr: str) -> str:
    if vr == "DA":
        return _OLD_DATE.sub(r"\1\2\3", value) if _OLD_DATE.fullmatch(value) else value
    if vr == "TM":
        return _OLD_TIME.sub(r"\1\2\3", value) if _OLD_TIME.fullmatch(value) else value
    if vr == "DS" and len(value) > _LONGEST_DECIMAL and _DIGITS.fullmatch(value):
        return decimal(float(value)) if math.isfinite(float(value)) else value
    return value


def _is_valid(value: str, vr: str, keyword: str, terms: Terms) -> bool:
    allowed = _LINE_BREAKS if vr in ("LT", "ST", "UT") else frozenset()
    if len(value) > _LONGEST.get(vr, len(value)) or not all(one.isprintable() or one in allowed for one in value):
        return False
    if value and value not in _PERMITTED.get(keyword, (value,)):
        return False
    parts = _NAME_PARTS.split(value) if vr == "PN" else [value]
    return _RULES[vr](value) and all(bytes_in(part, terms) is not None for part in parts)


def _is_permitted_number(count: int, multiplicity: str) -> bool:
    highest = multiplicity.split("-")[-1]
    return not highest.isdigit() or count <= int(highest)


def _reads_as(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def reads(value: str) -> bool:
        try:
            parse(value)
        except (ValueError, OverflowError):
            return False
        return True

    return reads


def _is_name(value: str) -> bool:
    """PS3.5 6.2.1: three groups of five components, 64 letters each group."""
    groups = value.split("=")
    return len(groups) <= _NAME_GROUPS and all(
        len(group) <= _NAME_LETTERS and group.count("^") < _NAME_COMPONENTS for group in groups
    )


def _is_decimal(value: str) -> bool:
    return len(value) <= _LONGEST_DECIMAL and bool(_DIGITS.fullmatch(value)) and math.isfinite(float(value))


def _is_integer(value: str) -> bool:
    return bool(_INTEGER.fullmatch(value)) and -(2**31) <= int(value) < 2**31


def _is_anything(value: str) -> bool:
    return True


_RULES: Mapping[str, Callable[[str], bool]] = {
    "AE": str.isascii,
    "AS": lambda value: bool(_AGE.fullmatch(value)),
    "CS": lambda value: bool(_CODE_STRING.fullmatch(value)),
    "DA": _reads_as(DA),
    "DS": _is_decimal,
    "DT": _reads_as(DT),
    "IS": _is_integer,
    "PN": _is_name,
    "TM": _reads_as(TM),
    "UI": is_uid,
    "UR": str.isascii,
    **dict.fromkeys(("LO", "LT", "SH", "ST", "UC", "UT"), _is_anything),
}
