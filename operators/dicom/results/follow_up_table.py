"""A follow-up as the table that people read: a row for each lesion or organ, a column for each date."""

from collections.abc import Iterator
from dataclasses import dataclass

from operators.domain.follow_up import Course, FollowUp, FollowUpDate, Sizes, SumOfDiameters

NOTHING = "–"
CUT_OFF = "cut off by the border"
NOTE = (
    "A dash: not outlined on that date, which does not say that it was not there. Changes are of the volume since it "
    "was last outlined as a whole; the sum counts as RECIST 1.1 does and is no judgement of response."
)


@dataclass(frozen=True, slots=True)
class FollowUpTable:
    """The table.

    columns : what is followed, the dates from the oldest to the current study, the change and the doubling time.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def sentences(self) -> Iterator[str]:
        """Each row in one line, for documents that have no tables."""
        for name, *cells in self.rows:
            told = (f"{column} {cell}" for column, cell in zip(self.columns[1:], cells, strict=True) if cell)
            yield f"{name}: {'; '.join(told)}"


def follow_up_table(followed: FollowUp) -> FollowUpTable:
    columns = ("Followed", *map(date_words, followed.dates), "Change of volume", "Doubling time")
    rows = [_course(course) for course in followed.courses]
    if followed.sum_of_diameters:
        rows.append(_sum(followed.sum_of_diameters))
    return FollowUpTable(columns, tuple(rows))


def date_words(date: FollowUpDate) -> str:
    """When that was, and whether the alignment to it is doubtful."""
    if date.days_before == 0 and date.verdict is None:
        return "now"
    when = "earlier, no date" if date.days_before is None else f"{date.days_before} days before"
    return f"{when} (alignment doubtful)" if date.verdict == "doubtful" else when


def _course(course: Course) -> tuple[str, ...]:
    change = "" if course.change_ml is None else f"{course.change_ml:+.2f} ml"
    percent = "" if course.change_percent is None else f", {course.change_percent:+.1f} %"
    doubling = "" if course.doubling_time_days is None else f"{course.doubling_time_days:.0f} days"
    return (course.name, *map(_sizes, course.sizes), change + percent, doubling)


def _sizes(sizes: Sizes | None) -> str:
    if sizes is None:
        return NOTHING
    volume = "" if sizes.volume_ml is None else f"{sizes.volume_ml:.2f} ml"
    if sizes.is_cut_off:
        return f"{volume} of it, {CUT_OFF}" if volume else CUT_OFF
    if sizes.long_axis_mm is None or sizes.short_axis_mm is None:
        return volume
    return f"{volume}, {sizes.long_axis_mm:.1f} x {sizes.short_axis_mm:.1f} mm"


def _sum(total: SumOfDiameters) -> tuple[str, ...]:
    count = len(total.tracking_uids)
    name = f"Sum of diameters of {count} lesion{'' if count == 1 else 's'}"
    since = f"{total.change_percent:+.1f} % since the first date"
    smallest = f"{total.change_from_smallest_percent:+.1f} % since the smallest"
    return (name, *(f"{value:.1f} mm" for value in total.sums_mm), f"{since}, {smallest}", "")
