"""What today's lesions and organs measured on the priors, one tracking UID for one thing over all dates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from operators.dicom.results.codes import dictionary_meaning
from operators.dicom.results.registration.carried_segments import carry_segments, fitting
from operators.dicom.volumes.slice_masks import on_slices
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.bounding_box import bounding_box
from operators.domain.concepts import Code
from operators.domain.follow_up import Course, FollowUp, FollowUpDate, Sizes, follow_up, with_prior_value
from operators.domain.geometry import Geometry
from operators.domain.measurement import Measurement
from operators.domain.reading import SeriesReading, SeriesRegistration, StudyReading
from operators.domain.segment import PriorSegment, Segment, SeriesSegments
from operators.domain.transform import Affine
from operators.heads.measurements import measure_prior
from operators.study_run.lesion_links import same_things

Registered = SeriesRegistration[SourceSeries]
Read = SeriesReading[SourceSeries]
NEAR_BORDER = 0.5
"""Share of a voxel: a mask that comes nearer to the outermost voxels' middles is cut off there."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A thing on a prior.

    measured : in the prior's own image
    """

    one: Registered
    segment: PriorSegment
    measured: tuple[Measurement, ...]
    is_cut_off: bool


@dataclass(slots=True, eq=False)
class _Thing:
    """A lesion or organ on all dates.

    shown : its latest mask on today's grid
    today : as the current study's heads outlined it; None where they did not
    seen : on priors, the latest first
    """

    shown: Segment
    today: Segment | None
    is_cut_off: bool = False
    seen: list[_Seen] = field(default_factory=list)


def compare_with_priors(reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
    """The reading with its follow-up, prior values in its measurements, and what each registration carries.

    A prior's value is the latest prior's that shows the thing; the identity is the earliest that an object of the
    archive holds, else the earliest. What a border of either image cuts off is linked, but its sizes are not compared.
    A failed registration compares and carries nothing.
    """
    given: set[str] = set()
    compared: list[Read] = []
    carrying: dict[int, Registered] = {}
    for series in reading.current:
        uid = series.source.series_instance_uid
        mine = [
            one
            for one in reading.registrations
            if one.fixed.source.series_instance_uid == uid and one.found.verdict != "failed"
        ]
        followed, carried = _compared(series, mine, given) if mine else (series, {})
        compared.append(followed)
        carrying |= carried
    registrations = tuple(carrying.get(id(one), one) for one in reading.registrations)
    return replace(reading, current=tuple(compared), registrations=registrations)


def _compared(series: Read, registrations: Sequence[Registered], given: set[str]) -> tuple[Read, dict[int, Registered]]:
    """The series, and its registrations with what they carry, by the identity of what they were.

    registrations : the latest prior first
    given : tracking UIDs that another series of today has; two that show one thing keep two identities, so that a
        report can tell their values apart
    """
    own = series.segments.segments if series.segments else ()
    grid = series.source.volume.geometry
    things = [_Thing(segment, segment, _is_cut_off(segment.mask, grid, grid)) for segment in own]
    carried_by: dict[int, tuple[tuple[PriorSegment, ...], SeriesSegments]] = {}
    for one in registrations:
        before = fitting(prior_segments(one.moving), series.source.headers[0])
        carried = carry_segments(before, one.found.field or one.found.affine, series.source)
        carried_by[id(one)] = before, carried
        _link(things, one, before, carried)
    identities = {id(thing): _identity(thing, given) for thing in things}
    given.update(tracking_uid for _, tracking_uid in identities.values())
    of_today = {thing.today.number: thing for thing in things if thing.today is not None}
    measurements = tuple(_with_values(series, registrations, of_today))
    new_names = {number: identities[id(thing)] for number, thing in of_today.items()}
    followed = replace(
        _renamed(replace(series, measurements=measurements), new_names),
        follow_up=_follow_up(series, registrations, things, identities),
    )
    return followed, {
        id(one): _carrying(one, *carried_by[id(one)], things, identities, series.source) for one in registrations
    }


def prior_segments(series: Read) -> tuple[PriorSegment, ...]:
    """What a prior's series shows: as objects of its study have it, else as our own heads see it now.

    An object may be somebody's correction, and it is what the earlier report spoke of.
    """
    if series.segments is None:
        return series.outlined
    outlined = tuple({segment.tracking_uid: segment for segment in series.outlined}.values())
    there = carry_segments(outlined, Affine(np.eye(4)), series.source)
    covered = same_things(series.segments.segments, there.segments)
    found = [segment for place, segment in enumerate(series.segments.segments) if place not in covered]
    return (
        *outlined,
        *(
            PriorSegment(
                segment.label,
                segment.category,
                segment.type,
                segment.tracking_id,
                segment.tracking_uid,
                segment.mask,
                series.segments.geometry,
                is_stored=False,
            )
            for segment in found
        ),
    )


def _link(things: list[_Thing], one: Registered, before: Sequence[PriorSegment], carried: SeriesSegments) -> None:
    """Add what one prior shows to the things that are known, and new ones for the rest."""
    by_uid = {segment.tracking_uid: segment for segment in before}
    links = same_things([thing.shown for thing in things], carried.segments)
    linked = {place: things[known] for known, place in links.items()}
    image = one.moving.source.volume.geometry
    for place, segment in enumerate(carried.segments):
        earlier = by_uid[segment.tracking_uid]
        thing = linked.get(place)
        if thing is None:
            thing = _Thing(segment, None)
            things.append(thing)
        measured = _measured(earlier, one.moving)
        thing.seen.append(_Seen(one, earlier, measured, _is_cut_off(earlier.mask, earlier.geometry, image)))


def _measured(segment: PriorSegment, prior: Read) -> tuple[Measurement, ...]:
    known = tuple(item for item in prior.measurements if item.tracking_uid == segment.tracking_uid)
    is_ours = not segment.is_stored and known
    return known if is_ours else measure_prior(segment, prior.source.series_instance_uid)


def _identity(thing: _Thing, given: set[str]) -> tuple[str, str]:
    """Tracking id and UID."""
    earlier = [seen.segment for seen in reversed(thing.seen)]
    known = [segment for segment in earlier if segment.is_stored] or earlier
    free = [segment for segment in known if segment.tracking_uid not in given]
    chosen = free[0] if free else thing.today or thing.shown
    return chosen.tracking_id, chosen.tracking_uid


def _with_values(
    series: Read, registrations: Sequence[Registered], of_today: Mapping[int, _Thing]
) -> Iterator[Measurement]:
    """Today's measurements with the latest prior's values."""
    for item in series.measurements:
        thing = of_today.get(item.segment_number) if item.segment_number is not None else None
        if thing is not None:
            whole = () if thing.is_cut_off else tuple(seen for seen in thing.seen if not seen.is_cut_off)
            dated = [(seen.one, _like(item, seen.measured)) for seen in whole]
        else:
            dated = [(one, _like(item, _of_series(one.moving.measurements))) for one in registrations]
        one, earlier = next(((one, earlier) for one, earlier in dated if earlier is not None), (None, None))
        yield with_prior_value(item, earlier, one.prior.days_before) if one and earlier else item


def _of_series(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    return tuple(item for item in measurements if item.segment_number is None)


def _like(item: Measurement, measurements: Iterable[Measurement]) -> Measurement | None:
    """The same quantity; a value of a whole series has its name too, for one code stands for several."""
    return next(
        (
            other
            for other in measurements
            if (other.code, other.unit) == (item.code, item.unit)
            and (item.segment_number is not None or other.name == item.name)
        ),
        None,
    )


def _follow_up(
    series: Read,
    registrations: Sequence[Registered],
    things: Sequence[_Thing],
    identities: Mapping[int, tuple[str, str]],
) -> FollowUp:
    oldest_first = sorted(registrations, key=_age, reverse=True)
    header = series.source.headers[0]
    dates = [
        *(
            FollowUpDate(
                one.prior.study_instance_uid,
                one.moving.source.series_instance_uid,
                one.prior.days_before,
                one.found.verdict,
            )
            for one in oldest_first
        ),
        FollowUpDate(str(header.StudyInstanceUID), series.source.series_instance_uid, 0),
    ]
    sites = {finding.name: finding.site for finding in series.findings}
    today = {
        number: [item for item in series.measurements if item.segment_number == number]
        for number in (thing.today.number for thing in things if thing.today)
    }

    def sizes(thing: _Thing) -> Iterator[Sizes | None]:
        by_prior = {id(seen.one): seen for seen in thing.seen}
        for one in oldest_first:
            seen = by_prior.get(id(one))
            yield Sizes.of(seen.measured, is_cut_off=seen.is_cut_off) if seen else None
        yield Sizes.of(today[thing.today.number], is_cut_off=thing.is_cut_off) if thing.today else None

    def course(thing: _Thing, number: int) -> Course:
        shown = thing.today
        return Course(
            name=shown.label if shown else f"{_spoken(thing.shown.type).meaning}, earlier {number}",
            code=shown.type if shown else _spoken(thing.shown.type),
            site=sites.get(shown.finding) if shown and shown.finding else None,
            is_lesion=shown.finding is not None if shown else thing.seen[0].segment.is_lesion,
            tracking_uid=identities[id(thing)][1],
            segment_number=shown.number if shown else None,
            sizes=tuple(sizes(thing)),
        )

    only_earlier = [thing for thing in things if thing.today is None]
    numbers = {id(thing): number for number, thing in enumerate(only_earlier, start=1)}
    return follow_up(
        series.source.series_instance_uid,
        dates,
        [course(thing, numbers.get(id(thing), 0)) for thing in things],
        slice_spacing_mm=float(series.source.volume.geometry.spacing[0]),
    )


def _age(one: Registered) -> float:
    return np.inf if one.prior.days_before is None else one.prior.days_before


def _spoken(code: Code) -> Code:
    """With the dictionary's meaning: another's object may say anything there, and results hold no free text."""
    return replace(code, meaning=dictionary_meaning(code) or f"{code.value} ({code.scheme})")


def _carrying(
    one: Registered,
    before: Sequence[PriorSegment],
    carried: SeriesSegments,
    things: Sequence[_Thing],
    identities: Mapping[int, tuple[str, str]],
    source: SourceSeries,
) -> Registered:
    """With what it carries; what only we outlined on the prior, now, goes by the name that it has today."""
    of_thing = {id(seen.segment): identities[id(thing)] for thing in things for seen in thing.seen if seen.one is one}
    names = {segment.tracking_uid: of_thing.get(id(segment)) for segment in before if not segment.is_stored}
    segments = tuple(
        replace(segment, tracking_id=name[0], tracking_uid=name[1])
        if (name := names.get(segment.tracking_uid))
        else segment
        for segment in carried.segments
    )
    shown = replace(carried, segments=segments)
    tracked = tuple(
        replace(segment, tracking_id=of_thing[id(segment)][0], tracking_uid=of_thing[id(segment)][1])
        for segment in before
        if id(segment) in of_thing
    )
    return replace(one, tracked=tracked, carried=shown, slice_carried=on_slices(shown, source))


def _is_cut_off(mask: np.ndarray, geometry: Geometry, image: Geometry) -> bool:
    """Whether a mask reaches a border of an image; along a single slice's own axis there is none to reach."""
    ends = [(side.start, side.stop - 1) for side in bounding_box(mask)]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    places = image.indices(geometry.positions(corners))
    return any(
        places[:, axis].min() < NEAR_BORDER or places[:, axis].max() > image.shape[axis] - 1 - NEAR_BORDER
        for axis in range(3)
        if image.shape[axis] > 1
    )


def _renamed(series: Read, identities: Mapping[int, tuple[str, str]]) -> Read:
    """Other identities wherever the series has them."""
    if series.segments is None:
        return series
    uids = {segment.tracking_uid: identities[segment.number][1] for segment in series.segments.segments}

    def named(segments: SeriesSegments | None) -> SeriesSegments | None:
        return segments and replace(
            segments,
            segments=tuple(
                replace(segment, tracking_id=identities[segment.number][0], tracking_uid=identities[segment.number][1])
                for segment in segments.segments
            ),
        )

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
        series,
        segments=named(series.segments),
        slice_segments=named(series.slice_segments),
        findings=findings,
        measurements=measurements,
    )
