"""Lesions and organs then and now: what changed, how fast, and the sum of diameters.

Every study is measured on its own masks and its own grid. Nothing here is called a response: that is for people to say.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from operators.domain.concepts import LONG_AXIS, LYMPH_NODE, SHORT_AXIS, VOLUME, Code
from operators.domain.measurement import Measurement
from operators.domain.registration import Verdict

MEASURABLE_MM = 10.0
"""Longest diameter from which RECIST 1.1 (Eisenhauer et al., 2009) counts a lesion."""
MEASURABLE_SLICES = 2
"""The same length in slices, where those are thicker than 5 mm."""
MEASURABLE_NODE_MM = 15.0
"""Short axis from which it counts a lymph node."""
MOST_LESIONS = 5
MOST_IN_AN_ORGAN = 2


@dataclass(frozen=True, slots=True)
class FollowUpDate:
    """A study on the way, with the series that was compared.

    days_before : from that study to the current one, 0 for the current; None where a date is missing
    verdict : on the alignment to the current series; None for the current one itself
    """

    study_instance_uid: str
    series_instance_uid: str
    days_before: int | None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """A lesion or organ on one date; None where it was not measured.

    is_cut_off : it reaches a border of the image, so that its sizes are a part's and nothing is compared with them
    """

    volume_ml: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    is_cut_off: bool = False

    @classmethod
    def of(cls, measurements: Iterable[Measurement], *, is_cut_off: bool) -> "Sizes":
        """The sizes among what was measured on one mask."""
        values = {measurement.code.value: measurement.value for measurement in measurements}
        volume, long, short = (values.get(code.value) for code in (VOLUME, LONG_AXIS, SHORT_AXIS))
        return cls(volume, long, short, is_cut_off)

    @property
    def comparable_volume_ml(self) -> float | None:
        return None if self.is_cut_off else self.volume_ml


@dataclass(frozen=True, slots=True)
class Course:
    """One lesion or organ over time.

    code : of what it is
    site : where it sits, None where nobody says
    is_lesion : anything but an organ
    segment_number : in the current study's SEG; None where it was not outlined today
    sizes : one for each date; None where it was not outlined, which does not say that it was not there
    change_ml, change_percent : of the volume, between the last two dates that it can be compared on, the current one
        being the last; None without them
    doubling_time_days : of a lesion's volume, had it grown evenly between these two; None unless it grew
    """

    name: str
    code: Code
    site: Code | None
    is_lesion: bool
    tracking_uid: str
    segment_number: int | None
    sizes: tuple[Sizes | None, ...]
    change_ml: float | None = None
    change_percent: float | None = None
    doubling_time_days: float | None = None

    @property
    def is_worth_telling(self) -> bool:
        """A lesion always; an organ where it was measured as a whole on two dates."""
        whole = [size for size in self.sizes if size and size.comparable_volume_ml is not None]
        return self.is_lesion or len(whole) > 1


@dataclass(frozen=True, slots=True)
class SumOfDiameters:
    """Sum of the diameters of the same lesions on each date, as RECIST 1.1 counts them.

    tracking_uids : of the lesions that are counted
    sums_mm : one for each date
    change_percent : of the current sum against the first
    change_from_smallest_percent : against the smallest of all before it
    """

    tracking_uids: tuple[str, ...]
    sums_mm: tuple[float, ...]
    change_percent: float
    change_from_smallest_percent: float


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What became of everything that a series of the current study shares with earlier ones.

    dates : the oldest first, those without a date before them, the current study last
    courses : what the current study shows in its order, then what only earlier ones do
    sum_of_diameters : None where no lesion can be counted
    """

    series_instance_uid: str
    dates: tuple[FollowUpDate, ...]
    courses: tuple[Course, ...]
    sum_of_diameters: SumOfDiameters | None


def follow_up(
    series_instance_uid: str, dates: Sequence[FollowUpDate], courses: Iterable[Course], *, slice_spacing_mm: float
) -> FollowUp:
    """The courses with their changes, and the sum of diameters.

    dates : as a `FollowUp` has them; the courses' sizes are in their order
    """
    told = tuple(with_changes(course, dates) for course in courses if course.is_worth_telling)
    return FollowUp(series_instance_uid, tuple(dates), told, sum_of_diameters(told, slice_spacing_mm=slice_spacing_mm))


def with_prior_value(measurement: Measurement, earlier: Measurement, days_before: int | None) -> Measurement:
    """The measurement beside the same thing's value in a prior, and what changed in percent.

    days_before : from the prior to the current study
    """
    change = _percent(measurement.value, earlier.value) if earlier.value else None
    return replace(measurement, prior_value=earlier.value, prior_date_days=days_before, change_percent=change)


def with_changes(course: Course, dates: Sequence[FollowUpDate]) -> Course:
    """The course with what became of its volume since it was last seen."""
    *earlier, (now, _) = [
        (size.comparable_volume_ml if size else None, date.days_before)
        for size, date in zip(course.sizes, dates, strict=True)
    ]
    seen = [(volume, days) for volume, days in earlier if volume is not None]
    if now is None or not seen:
        return course
    before, days = seen[-1]
    return replace(
        course,
        change_ml=now - before,
        change_percent=_percent(now, before) if before else None,
        doubling_time_days=_doubling_time_days(before, now, days) if course.is_lesion else None,
    )


def sum_of_diameters(courses: Iterable[Course], *, slice_spacing_mm: float = 0.0) -> SumOfDiameters | None:
    """Diameters as RECIST 1.1 counts them, or None where no lesion can be counted.

    Counted are lesions with a diameter on every date that were measurable on the first: 10 mm, or two slices where
    those are thicker than 5 mm; lymph nodes by their short axis, from 15 mm. Of these the five largest of then, of an
    organ at most two; lesions of unknown sites are not limited by it. Diameters are of the key slice, which is axial
    in an axial series.
    """
    smallest = max(MEASURABLE_MM, MEASURABLE_SLICES * slice_spacing_mm)
    measured = [
        (course, diameters)
        for course in courses
        if course.is_lesion
        and (diameters := _diameters(course))
        and diameters[0] >= (MEASURABLE_NODE_MM if _is_node(course) else smallest)
    ]
    chosen: list[tuple[Course, tuple[float, ...]]] = []
    for course, diameters in sorted(measured, key=lambda pair: -pair[1][0]):
        same = sum(course.site is not None and other.site == course.site for other, _ in chosen)
        if len(chosen) < MOST_LESIONS and same < MOST_IN_AN_ORGAN:
            chosen.append((course, diameters))
    if not chosen:
        return None
    sums = tuple(sum(values) for values in zip(*(diameters for _, diameters in chosen), strict=True))
    return SumOfDiameters(
        tracking_uids=tuple(course.tracking_uid for course, _ in chosen),
        sums_mm=sums,
        change_percent=_percent(sums[-1], sums[0]),
        change_from_smallest_percent=_percent(sums[-1], min(sums[:-1])),
    )


def _diameters(course: Course) -> tuple[float, ...]:
    """One for each date; none where one is missing or a part's."""
    values = [
        None if size is None or size.is_cut_off else size.short_axis_mm if _is_node(course) else size.long_axis_mm
        for size in course.sizes
    ]
    whole = tuple(value for value in values if value is not None)
    return whole if len(whole) == len(values) > 1 else ()


def _is_node(course: Course) -> bool:
    return (course.code.value, course.code.scheme) == (LYMPH_NODE.value, LYMPH_NODE.scheme)


def _doubling_time_days(before: float, now: float, days: int | None) -> float | None:
    if not days or days < 0 or before <= 0 or now <= before:
        return None
    return days * math.log(2) / math.log(now / before)


def _percent(now: float, before: float) -> float:
    return 100 * (now / before - 1)
