"""Findings, segments and measurements of a study to a Comprehensive 3D SR by TID 1500."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.coded_concepts import (
    ANY_IMAGING_PROCEDURE,
    COMMENT,
    ENGLISH,
    IMAGING_MEASUREMENT_REPORT,
    IMAGING_MEASUREMENTS,
    IMAGING_PROCEDURES,
    NOT_EVALUATED,
    PROCEDURE_REPORTED,
    QUALITATIVE_EVALUATIONS,
    coded_concept,
)
from operators.dicom.results.image_library import container, image_library
from operators.dicom.results.measurement_groups import GroupContext, finding_group, segment_group
from operators.dicom.results.provenance import Provenance
from operators.dicom.results.source_headers import copy_character_set, padded_headers
from operators.dicom.results.stamping import UNSTAMPED_UID, stamp
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Algorithm, Code, Finding, Measurement, SeriesSegments

SERIES_NUMBER = 9101
_KIND = "SR"


def build_report(
    sources: Sequence[SourceSeries],
    *,
    findings: Sequence[Finding],
    segments: Sequence[SeriesSegments],
    measurements: Sequence[Measurement],
    segmentations: Sequence[Dataset],
    identity: RunIdentity,
    provenance: Provenance,
    heads: Mapping[str, Algorithm],
    now: datetime,
    is_complete: bool,
) -> Dataset:
    """One report of everything that was looked for: present, absent or not evaluated.

    segmentations : the SEG objects that were written, listed as evidence
    heads : by the name that findings and segments carry
    is_complete : every head that was planned has run
    """
    if not (findings or segments):
        raise ValueError("report: expected at least one finding or segment, got none")
    context = GroupContext({source.series_instance_uid: source for source in sources}, provenance, heads, identity)
    groups = [finding_group(finding, context) for finding in findings if finding.present is not None]
    for series in segments:
        groups += [segment_group(segment, series, measurements, context) for segment in series.segments]
    headers, _ = padded_headers([header for source in sources for header in source.headers])
    content = [
        *_context(headers, provenance),
        image_library(sources),
        *_imaging_measurements(groups),
        _evaluations(sources, findings, provenance),
    ]
    dataset: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[*headers, *segmentations],
        content=_root(content),
        series_instance_uid=identity.uid(_KIND),
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNSTAMPED_UID,
        instance_number=1,
        manufacturer=provenance.manufacturer,
        is_complete=is_complete,
        is_final=False,
        is_verified=False,
        series_description=provenance.series_description("AI findings"),
        contributing_equipment=[provenance.contributing_equipment()],
        content_qualification=hd.ContentQualificationValues.RESEARCH,
        specific_character_set=None,
    )
    copy_character_set(headers[0], dataset)
    stamp(dataset, kind=_KIND, identity=identity, provenance=provenance, now=now)
    return dataset


def _root(items: Sequence[hd.sr.ContentItem]) -> hd.sr.ContainerContentItem:
    """TID 1500 row 1. highdicom's MeasurementReport builds the same but refuses a report without measurements."""
    root = hd.sr.ContainerContentItem(coded_concept(IMAGING_MEASUREMENT_REPORT), template_id="1500")
    root.ContentSequence = hd.sr.ContentSequence(items)
    return root


def _context(headers: Sequence[Dataset], provenance: Provenance) -> list[hd.sr.ContentItem]:
    """TID 1500 rows 2 to 4: language, observer and procedure."""
    procedures = [
        hd.sr.CodeContentItem(
            coded_concept(PROCEDURE_REPORTED), coded_concept(code), relationship_type="HAS CONCEPT MOD"
        )
        for code in _procedures(headers)
    ]
    return [
        *hd.sr.LanguageOfContentItemAndDescendants(coded_concept(ENGLISH)),
        *hd.sr.ObservationContext(observer_device_context=provenance.device_observer()),
        *procedures,
    ]


def _procedures(headers: Sequence[Dataset]) -> list[Code]:
    """The imaging procedures, which IHE AIR asks for here, not the analysis; each once."""
    found = [code for header in headers for code in _named_procedures(header)]
    generic = [IMAGING_PROCEDURES.get(header.Modality, ANY_IMAGING_PROCEDURE) for header in headers]
    return list(dict.fromkeys(found or generic))


def _named_procedures(header: Dataset) -> list[Code]:
    items = header.get("ProcedureCodeSequence") or []
    return [
        Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
        for item in items
        if item.get("CodeValue") and item.get("CodingSchemeDesignator") and item.get("CodeMeaning")
    ]


def _imaging_measurements(groups: Sequence[hd.sr.ContentSequence]) -> list[hd.sr.ContentItem]:
    """TID 1500 row 6, which stands only where it has a group."""
    return [container(IMAGING_MEASUREMENTS, [item for group in groups for item in group])] if groups else []


def _evaluations(
    sources: Sequence[SourceSeries], findings: Sequence[Finding], provenance: Provenance
) -> hd.sr.ContainerContentItem:
    """TID 1500 rows 12 and 13: what holds for the whole report, why these series were read, and what nobody judged.

    A finding that was not judged has no measurement, hence no group: a NUM without a value would be right by
    PS3.3 C.18.1, but highdicom cannot read one.
    """
    items = [_text(COMMENT, provenance.use_statement)]
    items += [
        _text(COMMENT, f"Series {source.series_instance_uid} was read as {source.role}: {'; '.join(source.reasons)}")
        for source in sources
        if source.reasons
    ]
    for finding in findings:
        if finding.present is None:
            name, answer = coded_concept(finding.code), coded_concept(NOT_EVALUATED)
            reason = finding.not_evaluated or "no reason was given"
            items += [
                hd.sr.CodeContentItem(name, answer, relationship_type="CONTAINS"),
                _text(COMMENT, f"{finding.name}: not evaluated, {reason}"),
            ]
    return container(QUALITATIVE_EVALUATIONS, items)


def _text(name: Code, value: str) -> hd.sr.TextContentItem:
    return hd.sr.TextContentItem(coded_concept(name), value, relationship_type="CONTAINS")
