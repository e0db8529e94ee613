"""What today's lesions and organs measured on the priors, one tracking UID for one thing over all dates."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operators.dicom.results.registration.carried_segments import PriorSegment, carry_segments
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import Code
from operators.domain.measurement import Measurement
from operators.domain.reading import SeriesReading, SeriesRegistration, StudyReading
from operators.domain.segment import Segment, SeriesSegments
from operators.study_run.follow_up import with_prior_value
from operators.study_run.lesion_links import linked


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a thing is tracked by."""

    tracking_id: str
    tracking_uid: str


def compare_with_priors(reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
    """The reading with prior values in its measurements, and one identity for one thing over all dates.

    Values are the latest prior's that shows the thing, the identity is the earliest's. What a border of either image
    cuts off is linked, but its sizes are not compared. A failed registration compares nothing.
    """
    given: set[str] = set()

    def of_series(series: SeriesReading[SourceSeries]) -> SeriesReading[SourceSeries]:
        uid = series.source.series_instance_uid
        identities: dict[int, _Identity] = {}
        measurements = series.measurements
        # The latest first: an earlier one gives no value where there is one, and has the last word on identities.
        for one in reading.registrations:
            if one.fixed.source.series_instance_uid == uid and one.found.verdict != "failed":
                links = _links(series, one)
                measurements = tuple(_with_values(measurements, links, series, one))
                identities |= {number: link for number, link in links.items() if link.tracking_uid not in given}
        # Two series of today that show one thing keep two identities, so that a report can tell their values apart.
        given.update(identity.tracking_uid for identity in identities.values())
        return _renamed(replace(series, measurements=measurements), identities)

    return reading.with_each(of_series)


def _links(series: SeriesReading[SourceSeries], one: SeriesRegistration[SourceSeries]) -> dict[int, _Identity]:
    """The identity of the predecessor by number of today's segment."""
    if series.segments is None or one.moving.segments is None:
        return {}
    before = [_prior_segment(segment, one.moving.segments) for segment in one.moving.segments.segments]
    carried = carry_segments(before, one.found.field or one.found.affine, series.source)
    return {
        segment.number: _Identity(segment.tracking_id, segment.tracking_uid)
        for segment, own in zip(linked(series.segments, carried).segments, series.segments.segments, strict=True)
        if segment is not own
    }


def _prior_segment(segment: Segment, series: SeriesSegments) -> PriorSegment:
    return PriorSegment(
        segment.label,
        segment.category,
        segment.type,
        segment.tracking_id,
        segment.tracking_uid,
        segment.mask,
        series.geometry,
    )


def _with_values(
    measurements: Iterable[Measurement],
    links: Mapping[int, _Identity],
    series: SeriesReading[SourceSeries],
    one: SeriesRegistration[SourceSeries],
) -> Iterator[Measurement]:
    """Those that have no prior value yet, with this prior's."""
    before = {_what(item, item.tracking_uid): item for item in one.moving.measurements}
    cut_off = _cut_off(series), _cut_off(one.moving)
    for item in measurements:
        link = links.get(item.segment_number) if item.segment_number is not None else None
        earlier = before.get(_what(item, link.tracking_uid if link else None))
        comparable = item.segment_number is None or (
            link is not None and item.segment_number not in cut_off[0] and link.tracking_uid not in cut_off[1].values()
        )
        if item.prior_value is None and earlier is not None and comparable:
            yield with_prior_value(item, earlier, one.prior.days_before)
        else:
            yield item


def _what(measurement: Measurement, tracking_uid: str | None) -> tuple[str | None, Code, Code, str]:
    """What is measured of which thing; a value of a whole series has its name too, for one code stands for several."""
    name = "" if measurement.segment_number is not None else measurement.name
    return tracking_uid, measurement.code, measurement.unit, name


def _cut_off(series: SeriesReading[SourceSeries]) -> dict[int, str]:
    """Tracking UIDs by number of the segments that reach a border of their image."""
    segments = series.segments.segments if series.segments else ()
    return {segment.number: segment.tracking_uid for segment in segments if _reaches_border(segment.mask)}


def _reaches_border(mask: NDArray[np.bool_]) -> bool:
    """Along a single slice's own axis there is no border to reach."""
    axes = [axis for axis in range(3) if mask.shape[axis] > 1]
    return any(bool(np.take(mask, edge, axis=axis).any()) for axis in axes for edge in (0, -1))


def _renamed(series: SeriesReading[SourceSeries], identities: Mapping[int, _Identity]) -> SeriesReading[SourceSeries]:
    """Other identities wherever the series has them."""
    if series.segments is None or not identities:
        return series
    segments = tuple(
        replace(
            segment,
            tracking_id=identities[segment.number].tracking_id,
            tracking_uid=identities[segment.number].tracking_uid,
        )
        if segment.number in identities
        else segment
        for segment in series.segments.segments
    )
    uids = {
        before.tracking_uid: after.tracking_uid
        for before, after in zip(series.segments.segments, segments, strict=True)
    }
    findings = tuple(
        replace(finding, localisation=replace(place, tracking_uid=uids.get(place.tracking_uid, place.tracking_uid)))
        if (place := finding.localisation)
        else finding
        for finding in series.findings
    )
    measurements = tuple(
        replace(item, tracking_uid=uids.get(item.tracking_uid, item.tracking_uid)) if item.tracking_uid else item
        for item in series.measurements
    )
    return replace(
        series, segments=replace(series.segments, segments=segments), findings=findings, measurements=measurements
    )
