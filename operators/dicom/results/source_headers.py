"""Source headers made fit for a derived object: what the standard wants is there, what it forbids is not."""

from collections.abc import Sequence
from copy import deepcopy

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.valuerep import DA, TM

from operators.dicom.study.header_values import UNREADABLE, text_of

_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_ITEM_REQUIRES = {
    # sequences of the Patient and Study modules that an object must not inherit when they are incomplete
    "ProcedureCodeSequence": ("CodeValue", "CodeMeaning"),
    "ReferencedStudySequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
    "ReferencedPatientSequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
}

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
    changes = [
        *_drop_unreadable(first),
        *_pad_type_2(first),
        *_empty_malformed(first),
        *_drop_incomplete_sequences(first),
    ]
    return (first, *headers[1:]), tuple(changes)


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


def _drop_unreadable(header: Dataset) -> list[str]:
    unreadable = []
    for tag in list(header.keys()):
        try:
            header[tag]
        except UNREADABLE:
            del header[tag]
            unreadable.append(keyword_for_tag(tag) or str(tag))
    return [f"{name} is unreadable in the source and left out of the results" for name in unreadable]


def _pad_type_2(header: Dataset) -> list[str]:
    missing = [keyword for keyword in _TYPE_2 if keyword not in header]
    for keyword in missing:
        setattr(header, keyword, "")
    return [f"{keyword} is missing in the source and empty in the results" for keyword in missing]


def _empty_malformed(header: Dataset) -> list[str]:
    malformed = [keyword for keyword in _TYPE_2 if not _is_well_formed(header, keyword)]
    for keyword in malformed:
        setattr(header, keyword, "")
    return [f"{keyword} is malformed in the source and empty in the results" for keyword in malformed]


def _is_well_formed(header: Dataset, keyword: str) -> bool:
    value = header[keyword].value
    if not value:
        return True
    if keyword == "PatientSex":
        return value in {"M", "F", "O"}
    try:
        if keyword.endswith("Date"):
            DA(value)
        if keyword.endswith("Time"):
            TM(value)
    except ValueError:
        return False
    return True


def _drop_incomplete_sequences(header: Dataset) -> list[str]:
    incomplete = [
        keyword
        for keyword, required in _ITEM_REQUIRES.items()
        if keyword in header and not _is_complete(header[keyword].value, required)
    ]
    for keyword in incomplete:
        delattr(header, keyword)
    return [f"{keyword} is incomplete in the source and left out of the results" for keyword in incomplete]


def _is_complete(items: Sequence[Dataset] | None, required: tuple[str, ...]) -> bool:
    return bool(items) and all(item.get(keyword) for item in items or () for keyword in required)
