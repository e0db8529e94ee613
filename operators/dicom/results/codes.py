"""Coded concepts as DICOM writes them, and those that a source wrote."""

from functools import cache

import highdicom as hd
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts

from operators.dicom.study.character_sets import Terms, raw_bytes_of, text_in
from operators.domain.concepts import LONGEST_MEANING, Code

_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
CODE_ATTRIBUTES = (*_VALUES, "CodeMeaning")
"""Any of them makes an item a code (PS3.3 8.8)."""
_LONGEST_CODE_VALUE = 16
_ELLIPSIS = "..."


def coded_concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def is_coded(item: Dataset) -> bool:
    """Whether an item has all that a code must have; a URN needs no scheme (PS3.3 8.2)."""
    return code_of(item) is not None or bool(item.get("URNCodeValue") and item.get("CodeMeaning"))


def code_of(item: Dataset) -> Code | None:
    """The code of an item; None where it lacks value, scheme or meaning."""
    value = next((str(item.get(keyword)) for keyword in _VALUES if item.get(keyword)), "")
    try:
        return Code(value, str(item.get("CodingSchemeDesignator") or ""), str(item.get("CodeMeaning") or ""))
    except ValueError:
        return None


def dictionary_meaning(code: Code) -> str | None:
    """What the DICOM dictionary says that a code means; None for one that it does not know."""
    return _meanings().get((code.value, code.scheme))


@cache
def _meanings() -> dict[tuple[str, str], str]:
    dictionary: dict[str, dict[str, dict[str, tuple[str, object]]]] = concepts  # type: ignore[assignment]
    return {
        (value, scheme): meaning[:LONGEST_MEANING]
        for scheme, keywords in dictionary.items()
        for values in keywords.values()
        for value, (meaning, _) in values.items()
    }


def mend_code(item: Dataset, terms: Terms) -> bool:
    """Give a code's value the attribute that its length asks for, and its meaning the length of an LO, in place.

    PS3.3 8.1 has Long Code Value for values of more than 16 letters, and URN Code Value for URNs. A meaning is for
    people only (8.3), so that a shorter one is the same code. Whether anything was changed.
    """
    return any([_mend_value(item, terms), _mend_meaning(item, terms)])


def _mend_value(item: Dataset, terms: Terms) -> bool:
    present = [keyword for keyword in _VALUES if keyword in item]
    value = next((text for keyword in present if (text := _text(item, keyword, terms))), "")
    expected = _attribute_for(value)
    if not value or present == [expected]:
        return False
    for keyword in present:
        del item[keyword]
    setattr(item, expected, value)
    return True


def _attribute_for(value: str) -> str:
    if value.lower().startswith("urn:") or "://" in value:
        return "URNCodeValue"
    return "CodeValue" if len(value) <= _LONGEST_CODE_VALUE else "LongCodeValue"


def _mend_meaning(item: Dataset, terms: Terms) -> bool:
    meaning = _text(item, "CodeMeaning", terms)
    mended = " ".join(meaning.replace("\\", "/").split())
    if len(mended) > LONGEST_MEANING:
        mended = mended[: LONGEST_MEANING - len(_ELLIPSIS)].rstrip() + _ELLIPSIS
    if mended == meaning:
        return False
    item.CodeMeaning = mended
    return True


def _text(item: Dataset, keyword: str, terms: Terms) -> str:
    return (text_in(raw_bytes_of(item, keyword, terms), terms) or "").strip()
