"""What a report says of earlier studies: sizes on each date (TID 1411 and 1501 with a time point, TID 1502), the change
since then, and how well each was aligned.

A number of an earlier date stands in a group of its own that names its date and lies on its image, so that nobody reads
it as the current study's.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import highdicom as hd
import numpy as np
from pydicom import Dataset

from operators.dicom.results.codes import coded_concept
from operators.dicom.results.contour import outline
from operators.dicom.results.follow_up_table import date_words
from operators.dicom.results.report.measurement_groups import series_region, source_image
from operators.dicom.results.run_context import RunContext
from operators.dicom.volumes.slice_masks import on_plane
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import (
    LONG_AXIS,
    MILLILITRE,
    MILLIMETRE,
    PERCENT,
    REGISTRATION_FIGURES,
    REGISTRATION_VERDICT,
    SHORT_AXIS,
    SUM_CHANGE_PERCENT,
    SUM_OF_DIAMETERS,
    VERDICTS,
    VOLUME,
    Code,
)
from operators.domain.follow_up import FollowUp, FollowUpDate, Sizes
from operators.domain.reading import SeriesReading, SeriesRegistration, StudyReading
from operators.domain.segment import PriorSegment, key_slice


@dataclass(frozen=True, slots=True, eq=False)
class FollowUpGroup:
    """A measurement group and the headers of the images that it refers to."""

    items: hd.sr.ContentSequence
    images: tuple[Dataset, ...]


def follow_up_groups(reading: StudyReading[SourceSeries], run: RunContext) -> Iterator[FollowUpGroup]:
    """Groups for each series: the sums, every thing on every earlier date, and the registrations, failed ones too."""
    for series in reading.current:
        mine = [one for one in reading.registrations if one.fixed.source is series.source]
        if series.follow_up is not None:
            yield from _sums(series, series.follow_up, mine, run)
            yield from _earlier_sizes(series.follow_up, mine)
        for one in mine:
            yield _registration(one, run)


def _sums(
    series: SeriesReading[SourceSeries],
    followed: FollowUp,
    registrations: list[SeriesRegistration[SourceSeries]],
    run: RunContext,
) -> Iterator[FollowUpGroup]:
    """The current sum first."""
    total = followed.sum_of_diameters
    if total is None:
        return
    sources = {one.moving.source.series_instance_uid: one.moving.source for one in registrations}
    sources[followed.series_instance_uid] = series.source
    uid = run.identity.tracking_uid(followed.series_instance_uid, "follow-up", "sum of diameters")
    dated = list(zip(followed.dates, total.sums_mm, strict=True))
    for order, (date, value) in reversed(list(enumerate(dated, start=1))):
        source, is_now = sources[date.series_instance_uid], date is followed.dates[-1]
        numbers = [(SUM_OF_DIAMETERS, value, MILLIMETRE)]
        numbers += [(SUM_CHANGE_PERCENT, total.change_percent, PERCENT)] if is_now else []
        yield FollowUpGroup(
            hd.sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=hd.sr.TrackingIdentifier(uid, "sum of diameters"),
                time_point_context=None if is_now else _time_point(date, order),
                measurements=[_number_of_series(code, number, unit, source) for code, number, unit in numbers],
            ),
            (source.headers[len(source.headers) // 2],),
        )


def _earlier_sizes(
    followed: FollowUp, registrations: list[SeriesRegistration[SourceSeries]]
) -> Iterator[FollowUpGroup]:
    for order, date in enumerate(followed.dates[:-1], start=1):
        one = next(one for one in registrations if _is_of(one, date))
        segments = {segment.tracking_uid: segment for segment in one.tracked}
        for course in followed.courses:
            sizes = course.sizes[order - 1]
            if sizes is not None and not sizes.is_cut_off:
                yield _earlier(segments[course.tracking_uid], sizes, one.moving.source, _time_point(date, order))


def _earlier(
    segment: PriorSegment, sizes: Sizes, source: SourceSeries, time_point: hd.sr.TimePointContext
) -> FollowUpGroup:
    numbers = (
        (VOLUME, sizes.volume_ml, MILLILITRE),
        (LONG_AXIS, sizes.long_axis_mm, MILLIMETRE),
        (SHORT_AXIS, sizes.short_axis_mm, MILLIMETRE),
    )
    index, region = _region(segment, source)
    return FollowUpGroup(
        hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_regions=[region],
            tracking_identifier=hd.sr.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
            time_point_context=time_point,
            finding_category=coded_concept(segment.category),
            finding_type=coded_concept(segment.type),
            measurements=[
                hd.sr.Measurement(coded_concept(code), float(value), coded_concept(unit))
                for code, value, unit in numbers
                if value is not None
            ],
        ),
        (source.headers[index],),
    )


def _registration(one: SeriesRegistration[SourceSeries], run: RunContext) -> FollowUpGroup:
    """TID 1501: the figures that speak for and against it, and the verdict."""
    source, prior, days = one.fixed.source, one.moving.source.series_instance_uid, one.prior.days_before
    when = "an earlier study" if days is None else f"the study {days} days before"
    figures = asdict(one.found.quality)
    return FollowUpGroup(
        hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(
                run.identity.tracking_uid(source.series_instance_uid, "registration", prior),
                f"{one.found.kind} registration to {when}",
            ),
            measurements=[
                _number_of_series(code, figures[name], unit, source)
                for name, (code, unit) in REGISTRATION_FIGURES.items()
            ],
            qualitative_evaluations=[
                hd.sr.QualitativeEvaluation(
                    coded_concept(REGISTRATION_VERDICT), coded_concept(VERDICTS[one.found.verdict])
                )
            ],
        ),
        (),
    )


def _time_point(date: FollowUpDate, order: int) -> hd.sr.TimePointContext:
    return hd.sr.TimePointContext(date_words(date), time_point_order=order)


def _is_of(one: SeriesRegistration[SourceSeries], date: FollowUpDate) -> bool:
    return (one.prior.study_instance_uid, one.moving.source.series_instance_uid) == (
        date.study_instance_uid,
        date.series_instance_uid,
    )


def _number_of_series(code: Code, value: float, unit: Code, source: SourceSeries) -> hd.sr.Measurement:
    return hd.sr.Measurement(
        coded_concept(code), float(value), coded_concept(unit), referenced_coordinates=[series_region(source)]
    )


def _region(segment: PriorSegment, source: SourceSeries) -> tuple[int, hd.sr.ImageRegion]:
    """The slice of the series that shows most of the segment, and its outline there; a pixel's, where it is thinner."""
    best = key_slice(segment.mask)
    inside = np.argwhere(segment.mask[best])
    middle = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]
    index, row, column = source.on_nearest_slice(segment.geometry.positions(np.array([best, *middle])))
    shown = on_plane(segment.mask, segment.geometry, source.slice_planes[index])
    if not shown.any():
        rows, columns = shown.shape
        shown[min(max(round(row), 0), rows - 1), min(max(round(column), 0), columns - 1)] = True
    kind = hd.sr.GraphicTypeValues.POLYLINE
    return index, hd.sr.ImageRegion(kind, outline(shown), source_image(source, index))
