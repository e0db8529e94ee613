"""A second report, for readers that follow references to segments instead of outlines on images.

It is not the first one because OHIF 3.13 shows an empty page for a study with an Imaging Measurement Report whose
groups have no coordinates. Under the title of an Oncology Measurement Report it shows the same content as text; the
title (CID 7021) names a layout, and a comment in the report says so.
"""

from collections.abc import Sequence

from pydicom import Dataset

from operators.dicom.results.report.content_items import container, text_item
from operators.dicom.results.report.document import ReportKind, build_document
from operators.dicom.results.report.measurement_groups import GroupContext, segment_reference_group
from operators.dicom.results.run_context import RunContext
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    COMMENT,
    IMAGING_MEASUREMENTS,
    ONCOLOGY_MEASUREMENT_REPORT,
    QUALITATIVE_EVALUATIONS,
)
from operators.domain.reading import StudyReading

KIND = ReportKind("SR:segments", ONCOLOGY_MEASUREMENT_REPORT, series_number=9102, description="AI segment measurements")
TITLE_REMARK = "The title is the name of a document layout. It says nothing of what was found."


def build_segment_report(
    reading: StudyReading[SourceSeries],
    *,
    segmentations: Sequence[Dataset],
    run: RunContext,
    is_complete: bool,
) -> Dataset:
    """The segments' measurements with references into the SEG objects; arguments as for `build_report`.

    Raises
    ------
    ValueError
        There is no segment to refer to, or one is in none of *segmentations*.
    """
    holders = {item.get("TrackingUID"): dataset for dataset in segmentations for item in dataset.SegmentSequence}
    tracking_uids = [segment.tracking_uid for series in reading.slice_segments for segment in series.segments]
    missing = [uid for uid in tracking_uids if uid not in holders]
    if not tracking_uids or missing:
        raise ValueError(f"segment report: expected segments that stand in a SEG, got {len(missing)} in none")
    context = GroupContext.of(reading, run)
    groups = [
        segment_reference_group(segment, series, context, segmentation=holders[segment.tracking_uid])
        for series in reading.slice_segments
        for segment in series.segments
    ]
    remarks = [text_item(COMMENT, run.provenance.use_statement), text_item(COMMENT, TITLE_REMARK)]
    return build_document(
        KIND,
        [
            container(IMAGING_MEASUREMENTS, [item for group in groups for item in group]),
            container(QUALITATIVE_EVALUATIONS, remarks),
        ],
        sources=reading.sources,
        segmentations=segmentations,
        run=run,
        is_complete=is_complete,
    )
