"""Findings, segments and measurements of a study to a Comprehensive 3D SR by TID 1500."""

from collections.abc import Sequence
from dataclasses import replace

import highdicom as hd
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.follow_up_table import NOTE, follow_up_table
from operators.dicom.results.provenance import Provenance
from operators.dicom.results.report.content_items import container, text_item
from operators.dicom.results.report.document import ReportKind, build_document
from operators.dicom.results.report.follow_up_groups import follow_up_groups
from operators.dicom.results.report.measurement_groups import GroupContext, finding_group, segment_group, value_group
from operators.dicom.results.run_context import RunContext
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    COMMENT,
    IMAGING_MEASUREMENT_REPORT,
    IMAGING_MEASUREMENTS,
    NOT_EVALUATED,
    QUALITATIVE_EVALUATIONS,
)
from operators.domain.finding import Finding
from operators.domain.reading import StudyReading

KIND = ReportKind("SR", IMAGING_MEASUREMENT_REPORT, series_number=9101, description="AI findings")
WITH_PRIORS = replace(KIND, name="SR:priors")
"""A later version of a study's report, with a series of its own: the same study without its priors is another run."""
MARKED = ReportKind("SR:marked", IMAGING_MEASUREMENT_REPORT, series_number=9103, description="Marked region")
"""The report on a region that somebody marked."""


def build_report(
    reading: StudyReading[SourceSeries],
    *,
    segmentations: Sequence[Dataset],
    run: RunContext,
    is_complete: bool,
    previous: Sequence[Dataset] = (),
) -> Dataset:
    """One report of everything that was looked for: present, absent or not evaluated.

    segmentations : the SEG objects that were written, listed as evidence
    is_complete : every series that a head was to be asked about could be read
    previous : reports on the same study by earlier models, settings or source images
    """
    if not reading.says_something:
        raise ValueError("report: expected at least one finding, segment, measurement or registration, got none")
    context = GroupContext.of(reading, run)
    groups = [finding_group(finding, context) for finding in reading.findings if _has_group(finding)]
    groups += [value_group(value, context) for value in reading.measurements if value.tracking_uid is None]
    groups += [
        segment_group(segment, series, context) for series in reading.slice_segments for segment in series.segments
    ]
    # After all groups on today's images: a viewer of today's study may look no further than the first.
    followed = list(follow_up_groups(reading, run))
    groups += [group.items for group in followed]
    return build_document(
        MARKED if run.is_marked else kind_of(reading),
        [*_imaging_measurements(groups), _evaluations(reading, run.provenance)],
        sources=reading.sources,
        segmentations=segmentations,
        earlier_images=[header for group in followed for header in group.images],
        run=run,
        is_complete=is_complete,
        previous=previous,
    )


def kind_of(reading: StudyReading[SourceSeries]) -> ReportKind:
    return WITH_PRIORS if reading.registrations else KIND


def _has_group(finding: Finding) -> bool:
    """A finding that was not judged has no measurement, hence no group: a NUM without a value would be right by
    PS3.3 C.18.1, but highdicom cannot read one.
    """
    return finding.present is not None or finding.probability is not None


def _imaging_measurements(groups: Sequence[hd.sr.ContentSequence]) -> list[hd.sr.ContentItem]:
    """TID 1500 row 6, which stands only where it has a group."""
    return [container(IMAGING_MEASUREMENTS, [item for group in groups for item in group])] if groups else []


def _evaluations(reading: StudyReading[SourceSeries], provenance: Provenance) -> hd.sr.ContainerContentItem:
    """TID 1500 rows 12 to 14: what nobody judged, what holds for the whole report, why these series were read, and how
    numbers changed since a prior.

    A prior's number for a whole series is told in words: one more NUM of the same name would be read as today's.
    """
    unjudged = [finding for finding in reading.findings if finding.present is None]
    not_judged = [finding for finding in unjudged if not _has_group(finding)]
    answers = [
        hd.sr.CodeContentItem(coded_concept(finding.code), coded_concept(NOT_EVALUATED), relationship_type="CONTAINS")
        for finding in not_judged
    ]
    remarks = [
        provenance.use_statement,
        *(
            f"Series {source.series_instance_uid} was read as {source.role}: {'; '.join(source.reasons)}"
            for source in reading.sources
            if source.reasons
        ),
        *(f"{finding.name}: {finding.unjudged}" for finding in unjudged),
        *(
            f"{item.name}: {item.amount}, {item.since_prior}"
            for item in reading.measurements
            if item.since_prior and item.tracking_uid is None
        ),
        *(sentence for followed in reading.follow_ups for sentence in follow_up_table(followed).sentences),
        *((NOTE,) if reading.follow_ups else ()),
    ]
    return container(QUALITATIVE_EVALUATIONS, [*answers, *(text_item(COMMENT, remark) for remark in remarks)])
