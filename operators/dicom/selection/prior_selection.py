"""Whether a study is an earlier one of the same patient, and which of its series to compare with a current one."""

from collections.abc import Iterable
from datetime import date, datetime

from pydicom import Dataset

from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.study.header_values import text_of
from operators.errors import InputError, PatientMismatchError

_IDENTIFIERS = ("PatientID", "IssuerOfPatientID")
_IF_BOTH_SAY = ("PatientBirthDate", "PatientSex")
_OTHER_MODALITY = {"CT": "MR", "MR": "CT"}
_DATES = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")


def check_same_patient(current: Dataset, prior: Dataset) -> None:
    """Patient ID and issuer must be the same; birth date and sex where both headers have them.

    Raises
    ------
    PatientMismatchError
        Names the attribute, never its values.
    """
    for keyword in _IDENTIFIERS:
        if text_of(current, keyword) != text_of(prior, keyword):
            raise PatientMismatchError(f"prior: {keyword} is not the current study's; this prior is left out")
    for keyword in _IF_BOTH_SAY:
        both = {text_of(current, keyword), text_of(prior, keyword)} - {""}
        if len(both) > 1:
            raise PatientMismatchError(f"prior: {keyword} contradicts the current study's; this prior is left out")


def days_before(current: Dataset, prior: Dataset) -> int | None:
    """Days from the prior study to the current one; None where a date is missing.

    Raises
    ------
    InputError
        The other study is the same one, or a later one.
    """
    if text_of(current, "StudyInstanceUID") == text_of(prior, "StudyInstanceUID"):
        raise InputError("prior: it is the current study itself; give an earlier one")
    taken, before = _date(current), _date(prior)
    if taken is None or before is None:
        return None
    if before > taken:
        raise InputError("prior: it is later than the current study; give the later one as --input")
    return (taken - before).days


def counterpart(
    modality: str, role: str, decisions: Iterable[SeriesDecision], *, across_modalities: bool = False
) -> SeriesDecision | None:
    """The prior's series to compare with a current one: selected for the same role, else one of the same modality.

    modality, role : of the current series
    across_modalities : else an MR for a CT and a CT for an MR
    """
    selected = [decision for decision in decisions if decision.selected]
    alike = [decision for decision in selected if decision.series.modality == modality]
    in_role = [decision for decision in alike if _roles(decision.role) & _roles(role)]
    other = _OTHER_MODALITY.get(modality) if across_modalities else None
    across = [decision for decision in selected if decision.series.modality == other]
    return next(iter((*in_role, *alike, *across)), None)


def _roles(joined: str | None) -> frozenset[str]:
    return frozenset((joined or "").split(", "))


def _date(header: Dataset) -> date | None:
    for keyword in _DATES:
        try:
            return datetime.strptime(text_of(header, keyword), "%Y%m%d").date()
        except ValueError:
            continue
    return None
