"""A later version of a report, with what people said of its findings."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from datetime import datetime

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage
from pydicom.valuerep import DA, DT, TM

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.encoding import encode_dataset
from operators.dicom.results.uids import derive_uid
from operators.dicom.study.character_sets import bytes_in, character_set_of
from operators.domain.concepts import (
    COMMENT,
    FINDING,
    JUDGEMENT,
    JUDGEMENTS,
    PERSON_OBSERVER_NAME,
    QUALITATIVE_EVALUATIONS,
    TRACKING_UID,
)
from operators.domain.judgement import Judgement
from operators.errors import InputError


def judged_report(previous: Dataset, judgements: Sequence[Judgement], *, now: datetime) -> Dataset:
    """The report as it was, with the judgements below its Qualitative Evaluations (TID 1500 row 12).

    It names the report before it (PS3.3 C.17.2, Predecessor Documents), lies in the same series, and stays unverified:
    to verify a document is the site's own act. The same judgements on the same report give the same object but for its
    dates.

    previous : a report of findings; judgements that it has already are left out, the new ones are all there are

    Raises
    ------
    InputError
        It is no such report, or a judgement has letters that its character set lacks.
    """
    evaluations = _evaluations(previous)
    for judgement in judgements:
        _check_letters(previous, judgement)
    report = deepcopy(previous)
    _evaluations(report).ContentSequence = [
        *(item for item in evaluations.ContentSequence if _name(item) != JUDGEMENT.value),
        *(_item(judgement) for judgement in judgements),
    ]
    report.PredecessorDocumentsSequence = [_reference(previous)]
    report.InstanceNumber = int(previous.InstanceNumber) + 1
    _stamp(report, previous, now)
    return report


def _evaluations(report: Dataset) -> Dataset:
    items: Iterable[Dataset] = report.get("ContentSequence", ())
    for item in items:
        if report.SOPClassUID == Comprehensive3DSRStorage and _name(item) == QUALITATIVE_EVALUATIONS.value:
            return item
    raise InputError("report: expected a Comprehensive 3D SR by TID 1500 with Qualitative Evaluations, got another")


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].get("CodeValue", "")) if "ConceptNameCodeSequence" in item else ""


def _item(judgement: Judgement) -> Dataset:
    """A CODE: the verdict and when it was given; below it of which finding, by whom and why."""
    item: Dataset = hd.sr.CodeContentItem(
        coded_concept(JUDGEMENT), coded_concept(JUDGEMENTS[judgement.verdict]), relationship_type="CONTAINS"
    )
    item.ObservationDateTime = DT(judgement.at)
    item.ContentSequence = hd.sr.ContentSequence(_details(judgement))
    return item


def _details(judgement: Judgement) -> Iterator[hd.sr.ContentItem]:
    if judgement.person:
        yield hd.sr.PnameContentItem(
            coded_concept(PERSON_OBSERVER_NAME), judgement.person, relationship_type="HAS OBS CONTEXT"
        )
    yield hd.sr.CodeContentItem(
        coded_concept(FINDING), coded_concept(judgement.code), relationship_type="HAS PROPERTIES"
    )
    if judgement.tracking_uid:
        yield hd.sr.UIDRefContentItem(
            coded_concept(TRACKING_UID), judgement.tracking_uid, relationship_type="HAS PROPERTIES"
        )
    said = f"{judgement.finding}: {judgement.comment}" if judgement.comment else judgement.finding
    yield hd.sr.TextContentItem(coded_concept(COMMENT), said, relationship_type="HAS PROPERTIES")


def _reference(report: Dataset) -> Dataset:
    """Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    return study


def _stamp(report: Dataset, previous: Dataset, now: datetime) -> None:
    """The UID covers everything but the dates of this version."""
    _set_dates(report, None, None)
    report.SOPInstanceUID = derive_uid("judged report", str(previous.SOPInstanceUID), encode_dataset(report)[0])
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    _set_dates(report, DA(now.date()), TM(now.time().replace(microsecond=0)))


def _set_dates(report: Dataset, date: DA | None, time: TM | None) -> None:
    report.InstanceCreationDate = report.ContentDate = date
    report.InstanceCreationTime = report.ContentTime = time


def _check_letters(report: Dataset, judgement: Judgement) -> None:
    terms = character_set_of(report)
    said: Iterable[tuple[str, str]] = (("comment", judgement.comment), ("person", judgement.person))
    for what, text in said:
        if bytes_in(text, terms) is None:
            raise InputError(f"{what}: it has letters that the study's character set lacks; write it with others")
