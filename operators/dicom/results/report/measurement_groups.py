"""The measurement groups of the report: one per judged finding and per number for a series
(TID 1501), one per segment (TID 1411).

Every group holds a region on a source image. Readers look for it: OHIF 3.13 shows an empty page for the whole study
when a group of an Imaging Measurement Report has none, and older ones when a number outside a region has none.
Groups of one thing share its tracking UID with the SEG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.contour import outline
from operators.dicom.results.run_context import RunContext
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    ABSENT,
    DAYS,
    MILLILITRE,
    NO_UNITS,
    PERCENT,
    PRESENCE,
    PRESENT,
    PROBABILITY,
    THRESHOLD,
    VOLUME_CHANGE,
    VOLUME_CHANGE_PERCENT,
    VOLUME_DOUBLING_TIME,
)
from operators.domain.finding import Finding, Localisation
from operators.domain.follow_up import Course
from operators.domain.measurement import Measurement
from operators.domain.reading import StudyReading
from operators.domain.segment import Segment, SeriesSegments


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What all groups of one report share.

    sources : by series instance UID
    findings : by series instance UID and name
    measurements : of segments, by tracking UID
    courses : of what is followed from earlier studies, likewise
    """

    sources: Mapping[str, SourceSeries]
    findings: Mapping[tuple[str, str | None], Finding]
    measurements: Mapping[str, Sequence[Measurement]]
    courses: Mapping[str, Course]
    run: RunContext

    @classmethod
    def of(cls, reading: StudyReading[SourceSeries], run: RunContext) -> Self:
        by_tracking_uid: dict[str, list[Measurement]] = {}
        for measurement in reading.measurements:
            if measurement.tracking_uid is not None:
                by_tracking_uid.setdefault(measurement.tracking_uid, []).append(measurement)
        return cls(
            {source.series_instance_uid: source for source in reading.sources},
            {(finding.series_instance_uid, finding.name): finding for finding in reading.findings},
            by_tracking_uid,
            {course.tracking_uid: course for followed in reading.follow_ups for course in followed.courses},
            run,
        )


def finding_group(finding: Finding, context: GroupContext) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501: what was looked for, whether it is there, how probable, by which algorithm."""
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(_tracking_uid(finding, context), finding.name),
        finding_type=coded_concept(finding.code),
        finding_sites=_sites(finding),
        algorithm_id=context.run.provenance.report_algorithm(context.run.heads[finding.head]),
        measurements=_finding_measurements(finding, context.sources[finding.series_instance_uid]),
        qualitative_evaluations=[] if finding.present is None else [_evaluation(finding)],
    )


def value_group(value: Measurement, context: GroupContext) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501: a number for a whole series, by which algorithm; its region is the frame of the middle slice."""
    source, identity = context.sources[value.series_instance_uid], context.run.identity
    number = hd.sr.Measurement(
        name=coded_concept(value.code),
        value=float(value.value),
        unit=coded_concept(value.unit),
        referenced_coordinates=[series_region(source)],
    )
    head = context.run.heads[value.head] if value.head else None
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            identity.tracking_uid(value.series_instance_uid, value.head or "", value.name), value.name
        ),
        algorithm_id=context.run.provenance.report_algorithm(head) if head else None,
        measurements=[number],
    )


def segment_group(
    segment: Segment, series: SeriesSegments, context: GroupContext
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411: a segment's measurements and its outline on the slice that shows most of it."""
    image = source_image(context.sources[series.series_instance_uid], segment.key_slice)
    points = outline(segment.mask[segment.key_slice])
    region = hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POLYLINE, points, image)
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_regions=[region], **_segment_content(segment, series, context)
    )


def segment_reference_group(
    segment: Segment, series: SeriesSegments, context: GroupContext, *, segmentation: Dataset
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411: a segment's measurements and a reference to it in its SEG, in the place of an outline.

    segmentation : the SEG that holds a segment with the same tracking UID
    """
    number = next(
        item.SegmentNumber
        for item in segmentation.SegmentSequence
        # A label map has a segment of background, which nobody tracks.
        if item.get("TrackingUID") == segment.tracking_uid
    )
    source = hd.sr.SourceSeriesForSegmentation(series.series_instance_uid)
    # highdicom writes other capitals than the template.
    source.ConceptNameCodeSequence[0].CodeMeaning = "Source series for segmentation"
    reference = hd.sr.ReferencedSegment(
        segmentation.SOPClassUID, segmentation.SOPInstanceUID, number, source_series=source
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=reference, **_segment_content(segment, series, context)
    )


def _segment_content(segment: Segment, series: SeriesSegments, context: GroupContext) -> dict[str, Any]:
    """What a group says of a segment beside where it is."""
    finding = context.findings.get((series.series_instance_uid, segment.finding))
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        "finding_category": coded_concept(segment.category),
        "finding_type": coded_concept(segment.type),
        "finding_sites": _sites(finding) if finding else None,
        "algorithm_id": context.run.provenance.report_algorithm(context.run.heads[segment.head]),
        "measurements": [
            hd.sr.Measurement(coded_concept(item.code), float(item.value), coded_concept(item.unit))
            for item in context.measurements.get(segment.tracking_uid, ())
        ]
        + _changes(context.courses.get(segment.tracking_uid)),
    }


def _changes(course: Course | None) -> list[hd.sr.Measurement]:
    """Since the thing was last seen: numbers of names of their own, which nobody takes for a size."""
    if course is None:
        return []
    numbers = (
        (VOLUME_CHANGE, course.change_ml, MILLILITRE),
        (VOLUME_CHANGE_PERCENT, course.change_percent, PERCENT),
        (VOLUME_DOUBLING_TIME, course.doubling_time_days, DAYS),
    )
    return [
        hd.sr.Measurement(coded_concept(code), float(value), coded_concept(unit))
        for code, value, unit in numbers
        if value is not None
    ]


def _sites(finding: Finding) -> list[hd.sr.FindingSite] | None:
    if not finding.site:
        return None
    side = coded_concept(finding.laterality) if finding.laterality else None
    return [hd.sr.FindingSite(coded_concept(finding.site), laterality=side)]


def _tracking_uid(finding: Finding, context: GroupContext) -> str:
    if finding.localisation:
        return finding.localisation.tracking_uid
    return context.run.identity.tracking_uid(finding.series_instance_uid, finding.head, finding.name)


def _evaluation(finding: Finding) -> hd.sr.QualitativeEvaluation:
    return hd.sr.QualitativeEvaluation(coded_concept(PRESENCE), coded_concept(PRESENT if finding.present else ABSENT))


def _finding_measurements(finding: Finding, source: SourceSeries) -> list[hd.sr.Measurement]:
    """Probability and threshold, each with the judged region below it and nothing else: OHIF reads no further."""
    numbers = ((PROBABILITY, finding.probability), (THRESHOLD, finding.threshold))
    return [
        hd.sr.Measurement(
            name=coded_concept(code),
            value=float(value),
            unit=coded_concept(NO_UNITS),
            referenced_coordinates=[_judged_region(finding.localisation, source)],
        )
        for code, value in numbers
        if value is not None
    ]


def _judged_region(localisation: Localisation | None, source: SourceSeries) -> hd.sr.CoordinatesForMeasurement:
    """The point where a finding was seen, or the frame of the middle slice: the whole series was judged."""
    if localisation and localisation.sop_instance_uid in source.sop_instance_uids:
        index, row, column = source.on_nearest_slice(np.array(localisation.point_lps_mm))
        kind, graphic = hd.sr.GraphicTypeValues.POINT, np.array([[column + 0.5, row + 0.5]])
    else:
        index = len(source.headers) // 2
        kind, graphic = hd.sr.GraphicTypeValues.POLYLINE, _frame(source)
    return hd.sr.CoordinatesForMeasurement(kind, graphic, source_image(source, index))


def series_region(source: SourceSeries) -> hd.sr.CoordinatesForMeasurement:
    """The frame of the middle slice: the whole series is meant."""
    return _judged_region(None, source)


def _frame(source: SourceSeries) -> NDArray[np.float64]:
    # The slices' own size: a resampled volume may be larger.
    rows, columns = source.headers[0].Rows, source.headers[0].Columns
    return np.array([[0, 0], [columns, 0], [columns, rows], [0, rows], [0, 0]], np.float64)


def source_image(source: SourceSeries, index: int) -> hd.sr.SourceImageForRegion:
    """A slice, and the frame that it is."""
    header = source.headers[index]
    frames = [source.frame_numbers[index]] if source.frame_numbers else None
    return hd.sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID, referenced_frame_numbers=frames)
