"""What every report shares: root, context, image library, flags and evidence round its own content."""

from collections.abc import Sequence
from dataclasses import dataclass

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.references import distinct_instances
from operators.dicom.results.report.image_library import image_library
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.source_headers import copy_character_set, named_codes, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.dicom.study.header_values import text_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    ANY_IMAGING_PROCEDURE,
    ENGLISH,
    IMAGING_PROCEDURES,
    PERSON,
    PROCEDURE_REPORTED,
    Code,
)


@dataclass(frozen=True, slots=True)
class ReportKind:
    """What tells one kind of report from another.

    name : what its UIDs are derived from
    title : of the document (CID 7021)
    """

    name: str
    title: Code
    series_number: int
    description: str


def build_document(
    kind: ReportKind,
    content: Sequence[hd.sr.ContentItem],
    *,
    sources: Sequence[SourceSeries],
    segmentations: Sequence[Dataset],
    earlier_images: Sequence[Dataset] = (),
    run: RunContext,
    is_complete: bool,
    previous: Sequence[Dataset] = (),
) -> Dataset:
    """A Comprehensive 3D SR by TID 1500 with *content* after its context and image library.

    segmentations : SEG objects, listed as evidence beside the sources
    earlier_images : headers of images of other studies that the content refers to
    previous : earlier versions of the report (PS3.3 C.17.2, Predecessor Documents)
    """
    headers, _ = padded_headers([header for source in sources for header in source.headers])
    dataset: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[*headers, *segmentations, *distinct_instances(earlier_images)],
        content=_empty_root(kind.title),
        series_instance_uid=run.identity.uid(kind.name),
        series_number=kind.series_number,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=1,
        manufacturer=run.provenance.manufacturer,
        is_complete=is_complete,
        is_final=False,
        is_verified=False,
        previous_versions=previous or None,
        series_description=run.provenance.series_description(kind.description),
        contributing_equipment=[run.provenance.contributing_equipment()],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        specific_character_set=None,
    )
    # Content goes in last: highdicom copies it, parses the copy and searches it twice, half of all the time.
    dataset.ContentSequence = [
        *_context([source.headers[0] for source in sources], run),
        image_library(sources),
        *content,
    ]
    copy_character_set(headers[0], dataset)
    stamp(dataset, run, series_key=kind.name)
    return dataset


def _empty_root(title: Code) -> hd.sr.ContainerContentItem:
    """TID 1500 row 1. highdicom's MeasurementReport builds the same but refuses a report without measurements."""
    root = hd.sr.ContainerContentItem(coded_concept(title), template_id="1500")
    root.ContentSequence = hd.sr.ContentSequence()
    return root


def _context(headers: Sequence[Dataset], run: RunContext) -> list[hd.sr.ContentItem]:
    """TID 1500 rows 2 to 4: language, observers and procedure."""
    procedure = hd.sr.CodeContentItem(
        coded_concept(PROCEDURE_REPORTED), coded_concept(_procedure(headers)), relationship_type="HAS CONCEPT MOD"
    )
    return [
        *hd.sr.LanguageOfContentItemAndDescendants(coded_concept(ENGLISH)),
        *hd.sr.ObservationContext(_person_observer(run.person), run.provenance.device_observer()),
        procedure,
    ]


def _person_observer(person: str) -> hd.sr.ObserverContext | None:
    """TID 1003 Person Observer."""
    if not person:
        return None
    return hd.sr.ObserverContext(coded_concept(PERSON), hd.sr.PersonObserverIdentifyingAttributes(person))


def _procedure(headers: Sequence[Dataset]) -> Code:
    """The imaging procedure, which IHE AIR asks for here, not the analysis; the common word for several.

    Validators that IHE AIR relies on take a second one for an error.
    """
    named = {code for header in headers for code in named_codes(header, "ProcedureCodeSequence")}
    found = named or {IMAGING_PROCEDURES.get(text_of(header, "Modality"), ANY_IMAGING_PROCEDURE) for header in headers}
    return found.pop() if len(found) == 1 else ANY_IMAGING_PROCEDURE
