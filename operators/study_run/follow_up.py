"""Lesions and organs then and now: what changed, how fast, and the sum of diameters.

Every study is measured on its own masks and its own grid; the tracking UID says what is compared with what. Nothing
here is called a response: that is for people to say.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from operators.domain.concepts import LONG_AXIS, SHORT_AXIS, VOLUME, Code
from operators.domain.measurement import Measurement

MEASURABLE_MM = 10.0
"""Longest diameter from which RECIST 1.1 (Eisenhauer et al., 2009) counts a lesion."""
MOST_LESIONS = 5
MOST_IN_AN_ORGAN = 2


@dataclass(frozen=True, slots=True)
class DatedMeasurements:
    """What was measured in one study.

    days_before : from that study to the current one, 0 for the current; None where a date is missing
    """

    days_before: int | None
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """A lesion or organ on one date; None where it was not measured.

    days_before : from that date to the current study
    """

    days_before: int | None
    volume_ml: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """One lesion or organ over time.

    sizes : the oldest date first, the current study last
    """

    tracking_uid: str
    sizes: tuple[Sizes, ...]

    @property
    def change_ml(self) -> float | None:
        """Between the last two dates."""
        volumes = [size.volume_ml for size in self.sizes[-2:]]
        return None if len(volumes) < 2 or volumes[0] is None or volumes[1] is None else volumes[1] - volumes[0]

    @property
    def doubling_time_days(self) -> float | None:
        """Of the volume, had it grown evenly between the last two dates; None unless it grew."""
        if len(self.sizes) < 2:
            return None
        before, after = self.sizes[-2:]
        if before.days_before is None or after.days_before is None or not before.volume_ml or not after.volume_ml:
            return None
        days = before.days_before - after.days_before
        if days <= 0 or after.volume_ml <= before.volume_ml:
            return None
        return days * math.log(2) / math.log(after.volume_ml / before.volume_ml)


@dataclass(frozen=True, slots=True)
class SumOfDiameters:
    """Of the same lesions on each date.

    tracking_uids : of the lesions that are counted
    sums_mm : in the order of the dates, the oldest first
    """

    tracking_uids: tuple[str, ...]
    days_before: tuple[int | None, ...]
    sums_mm: tuple[float, ...]

    @property
    def change_percent(self) -> float | None:
        """Of the last sum against the first."""
        return 100 * (self.sums_mm[-1] / self.sums_mm[0] - 1) if self.sums_mm and self.sums_mm[0] else None


def with_prior_value(measurement: Measurement, earlier: Measurement, days_before: int | None) -> Measurement:
    """The measurement beside the same thing's value in a prior, and what changed in percent.

    days_before : from the prior to the current study
    """
    change = 100 * (measurement.value / earlier.value - 1) if earlier.value else None
    return replace(measurement, prior_value=earlier.value, prior_date_days=days_before, change_percent=change)


def courses(current: Sequence[Measurement], priors: Sequence[DatedMeasurements]) -> tuple[Course, ...]:
    """Each thing that the current study and at least one prior measured, in the current study's order.

    priors : in any order; those without a date come first
    """
    dates = [*_oldest_first(priors), DatedMeasurements(0, tuple(current))]
    tables = [_sizes(date) for date in dates]
    uids = dict.fromkeys(m.tracking_uid for m in current if m.tracking_uid)
    rows = ((uid, tuple(table[uid] for table in tables if uid in table)) for uid in uids)
    return tuple(Course(uid, sizes) for uid, sizes in rows if len(sizes) > 1)


def sum_of_diameters(courses: Sequence[Course], *, organs: Mapping[str, str] | None = None) -> SumOfDiameters | None:
    """Longest diameters as RECIST 1.1 counts them, or None where no lesion can be counted.

    Counted are lesions with a diameter on every date that measured at least 10 mm on the first: the five largest of
    then, of an organ at most two. Diameters are of the key slice, which is axial in an axial series.

    organs : by tracking UID, where known; lesions of unknown organs are not limited by it
    """
    most = max((len(course.sizes) for course in courses), default=0)
    measured = [
        (course, diameters)
        for course in courses
        if len(diameters := [s.long_axis_mm for s in course.sizes if s.long_axis_mm is not None]) == most
        and diameters[0] >= MEASURABLE_MM
    ]
    chosen: list[tuple[Course, list[float]]] = []
    for course, diameters in sorted(measured, key=lambda pair: -pair[1][0]):
        organ = (organs or {}).get(course.tracking_uid)
        same = sum(organ is not None and (organs or {}).get(other.tracking_uid) == organ for other, _ in chosen)
        if len(chosen) < MOST_LESIONS and same < MOST_IN_AN_ORGAN:
            chosen.append((course, diameters))
    if not chosen:
        return None
    return SumOfDiameters(
        tracking_uids=tuple(course.tracking_uid for course, _ in chosen),
        days_before=tuple(size.days_before for size in chosen[0][0].sizes),
        sums_mm=tuple(sum(values) for values in zip(*(diameters for _, diameters in chosen), strict=True)),
    )


def _oldest_first(priors: Sequence[DatedMeasurements]) -> list[DatedMeasurements]:
    return sorted(priors, key=lambda prior: -math.inf if prior.days_before is None else -prior.days_before)


def _sizes(date: DatedMeasurements) -> dict[str, Sizes]:
    """By tracking UID."""
    values: dict[str, dict[str, float]] = {}
    for measurement in date.measurements:
        if measurement.tracking_uid:
            values.setdefault(measurement.tracking_uid, {})[measurement.code.value] = measurement.value

    def of(uid: str, code: Code) -> float | None:
        return values[uid].get(code.value)

    return {
        uid: Sizes(date.days_before, of(uid, VOLUME), of(uid, LONG_AXIS), of(uid, SHORT_AXIS))
        for uid, known in values.items()
        if VOLUME.value in known
    }
