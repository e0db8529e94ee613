"""Source headers made fit for a derived object: what the standard wants is there, what it forbids is not.

Everything that an object takes over from its source passes here. A value that is not valid is mended where the standard
has a way that keeps its meaning; else it is empty (type 2) or left out. The study's identity is checked before, by
`study_identity`, and never changed.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence as ItemSequence
from pydicom.tag import BaseTag, Tag

from operators.dicom.results.attribute_values import STRING_VRS, checked_value
from operators.dicom.results.codes import CODE_ATTRIBUTES, code_of, is_coded, mend_code
from operators.dicom.results.copied_modules import (
    PATIENT_AND_STUDY,
    TRIAL,
    Path,
    copied_keywords,
    keywords_of_type,
    required_in,
    root_types,
)
from operators.dicom.study.character_sets import Terms, character_set_of, is_defined, raw_bytes_of
from operators.dicom.study.header_values import UNREADABLE, text_of
from operators.domain.concepts import Code

_IDENTITY = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID")
_NEEDS = (
    # an attribute, and those of which one must stand beside it (type 1C)
    ("PatientBirthDateInAlternativeCalendar", ("PatientAlternativeCalendar",)),
    ("PatientDeathDateInAlternativeCalendar", ("PatientAlternativeCalendar",)),
    ("ResponsiblePerson", ("ResponsiblePersonRole",)),
    ("PatientIdentityRemoved", ("DeidentificationMethod", "DeidentificationMethodCodeSequence")),
    ("LongitudinalTemporalOffsetFromEvent", ("LongitudinalTemporalEventType",)),
    ("UniversalEntityID", ("UniversalEntityIDType",)),
)
_TRIAL_NEEDS = (
    ("ClinicalTrialSponsorName",),
    ("ClinicalTrialProtocolID",),
    ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
)
_UNPAIRED = frozenset(
    # of the terms of PS3.16 Annex L those that scanners write most
    ("ABDOMEN", "BRAIN", "CHEST", "CSPINE", "HEAD", "HEART", "LIVER", "LSPINE", "NECK", "PELVIS", "SKULL", "SPINE")
    + ("TSPINE", "WHOLEBODY")
)


def padded_headers(headers: Sequence[Dataset]) -> tuple[tuple[Dataset, ...], tuple[str, ...]]:
    """The headers with a first one that a result can inherit patient and study from, and what had to be changed.

    Only the first is copied and changed: that is where a result takes its patient and study attributes from.
    The sentences name attributes, never their values.
    """
    first = deepcopy(headers[0])
    type_2 = keywords_of_type("2", *PATIENT_AND_STUDY)
    missing = [keyword for keyword in type_2 if keyword not in first]
    changes = [
        *(f"{keyword} is missing in the source and empty in the results" for keyword in missing),
        *_settle_character_set(first),
        *_check_values(first),
        *_drop_half_told(first),
        *_complete_trial(first),
    ]
    for keyword in type_2:
        first.setdefault(keyword, "")
    return (first, *headers[1:]), tuple(changes)


def named_codes(header: Dataset, keyword: str) -> tuple[Code, ...]:
    """The codes of a sequence at the header's root that a result can repeat."""
    if keyword not in header:
        return ()
    copied = Dataset()
    copied[keyword] = deepcopy(header[keyword])
    terms = character_set_of(header)
    _check_element(copied, Tag(keyword), (), terms if is_defined(terms) else ())
    return tuple(code for item in copied.get(keyword, ()) if (code := code_of(item)))


def copy_character_set(header: Dataset, dataset: Dataset) -> None:
    """Write *dataset* in the source's character set, so that names keep every letter.

    highdicom refuses code extensions that start with the default repertoire, which Japanese names use.
    """
    if header.get("SpecificCharacterSet"):
        dataset.SpecificCharacterSet = header.SpecificCharacterSet


def copy_body_part(header: Dataset, dataset: Dataset) -> None:
    """Body part and side for an image's General Series module (PS3.3 C.7.3.1).

    Laterality is type 2C: absent for an unpaired body part, empty where the source does not tell.
    """
    body_part = text_of(header, "BodyPartExamined")
    if body_part:
        dataset.BodyPartExamined = body_part
    if body_part not in _UNPAIRED:
        side = text_of(header, "Laterality") or text_of(header, "ImageLaterality")
        dataset.Laterality = side if side in ("L", "R") else ""


def _settle_character_set(header: Dataset) -> Iterator[str]:
    """One that DICOM does not define says nothing: what is left then is ASCII, which needs none."""
    if not is_defined(character_set_of(header)):
        del header["SpecificCharacterSet"]
        yield "SpecificCharacterSet is none that DICOM defines; the results keep what is plain ASCII"


def _check_values(header: Dataset) -> Iterator[str]:
    terms = character_set_of(header)
    for keyword in copied_keywords():
        if keyword in header and keyword not in _IDENTITY:
            complaint = _check_element(header, Tag(keyword), (), terms)
            if complaint:
                yield f"{keyword} {complaint} in the source and {_fate(header, keyword)} the results"


def _fate(header: Dataset, keyword: str) -> str:
    if keyword in header:
        return "mended in"
    return "empty in" if keyword in keywords_of_type("2", *PATIENT_AND_STUDY) else "left out of"


def _check_element(dataset: Dataset, tag: BaseTag, path: Path, terms: Terms) -> str:
    """Mend an element or remove it; what was wrong with it, empty for a valid one."""
    vr, keyword = dictionary_VR(tag), keyword_for_tag(tag)
    if vr == "SQ":
        return _check_items(dataset, tag, (*path, keyword), terms)
    written_vr = dataset.get_item(tag).VR or vr
    if vr not in STRING_VRS:
        return "" if written_vr == vr and _is_readable(dataset, tag) else _removed(dataset, tag, "is unreadable")
    if written_vr not in STRING_VRS | {"UN"}:
        return _removed(dataset, tag, "is unreadable")
    checked = checked_value(raw_bytes_of(dataset, tag, terms), tag=tag, keyword=keyword, vr=vr, terms=terms)
    if checked.text is None:
        return _removed(dataset, tag, checked.complaint)
    if checked.complaint or written_vr != vr:
        dataset[tag] = DataElement(tag, vr, checked.text)
        return checked.complaint or "has another value representation"
    return "" if _is_readable(dataset, tag) else _removed(dataset, tag, "is unreadable")


def _is_readable(dataset: Dataset, tag: BaseTag) -> bool:
    try:
        dataset[tag]
    except UNREADABLE:
        return False
    return True


def _removed(dataset: Dataset, tag: BaseTag, complaint: str) -> str:
    del dataset[tag]
    return complaint


def _check_items(dataset: Dataset, tag: BaseTag, path: Path, terms: Terms) -> str:
    """Items that lack what they must have are left out, and the sequence with the last of them."""
    if not _is_readable(dataset, tag) or not isinstance(dataset[tag].value, ItemSequence):
        return _removed(dataset, tag, "is unreadable")
    items = list(dataset[tag].value)
    complaints = [_check_item(item, path, terms) for item in items]
    whole = [item for item in items if _is_whole(item, path)]
    if not whole:
        return _removed(dataset, tag, "is incomplete")
    if len(whole) < len(items):
        dataset[tag].value = ItemSequence(whole)
        return "has incomplete items"
    return "has values that are not valid" if any(complaints) else ""


def _check_item(item: Dataset, path: Path, terms: Terms) -> bool:
    """Whether anything of the item was changed."""
    own = character_set_of(item) or terms
    if not is_defined(own):
        del item["SpecificCharacterSet"]
        own = ()
    is_mended = mend_code(item, own)
    complaints = [_check_element(item, tag, path, own) for tag in list(item.keys()) if not tag.is_private]
    for tag in [tag for tag in item.keys() if tag.is_private]:
        del item[tag]
    return is_mended or any(complaints) or any(list(_drop_half_told(item)))


def _is_whole(item: Dataset, path: Path) -> bool:
    is_code = any(keyword in item for keyword in CODE_ATTRIBUTES)
    is_complete = bool(item) and all(item.get(keyword) for keyword in required_in(path))
    return is_complete and (not is_code or is_coded(item))


def _drop_half_told(dataset: Dataset) -> Iterator[str]:
    for keyword, companions in _NEEDS:
        if dataset.get(keyword) and not any(dataset.get(companion) for companion in companions):
            del dataset[keyword]
            yield f"{keyword} is incomplete in the source and left out of the results"


def _complete_trial(header: Dataset) -> Iterator[str]:
    """The modules of a clinical trial stand whole or not at all."""
    keywords = [keyword for module in TRIAL for keyword in root_types(module) if keyword in header]
    if not keywords:
        return
    if all(any(header.get(keyword) for keyword in needed) for needed in _TRIAL_NEEDS):
        for keyword in keywords_of_type("2", *TRIAL):
            header.setdefault(keyword, "")
        return
    for keyword in keywords:
        del header[keyword]
    yield "The clinical trial is named incompletely in the source and left out of the results"
