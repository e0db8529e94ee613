import math

import pytest

from operators.domain.concepts import LONG_AXIS, MILLILITRE, MILLIMETRE, SHORT_AXIS, VOLUME
from operators.domain.measurement import Measurement
from operators.study_run.follow_up import DatedMeasurements, courses, sum_of_diameters, with_prior_value


def lesion(uid: str, volume: float, long: float | None = None, short: float = 5.0) -> tuple[Measurement, ...]:
    values = [("volume", VOLUME, volume, MILLILITRE)]
    if long is not None:
        values += [("long axis", LONG_AXIS, long, MILLIMETRE), ("short axis", SHORT_AXIS, short, MILLIMETRE)]
    return tuple(Measurement(name, code, value, unit, "1.2.3", 1, uid) for name, code, value, unit in values)


def test_a_value_stands_beside_the_earlier_one_with_its_change() -> None:
    now, then = lesion("a", 6.0)[0], lesion("a", 4.0)[0]
    found = with_prior_value(now, then, 90)
    assert (found.value, found.prior_value, found.prior_date_days) == (6.0, 4.0, 90)
    assert found.change_percent == pytest.approx(50.0)


def test_what_was_empty_then_has_no_change_in_percent() -> None:
    found = with_prior_value(lesion("a", 1.0)[0], lesion("a", 0.0)[0], None)
    assert (found.prior_value, found.change_percent) == (0.0, None)


def test_a_volume_that_doubles_in_thirty_days_has_a_doubling_time_of_thirty_days() -> None:
    (course,) = courses(lesion("a", 8.0), [DatedMeasurements(60, lesion("a", 2.0))])
    assert course.doubling_time_days == pytest.approx(30.0)
    assert course.change_ml == 6.0


@pytest.mark.parametrize(
    ("days", "then", "now"), [(60, 2.0, 2.0), (60, 2.0, 1.0), (0, 1.0, 2.0), (None, 1.0, 2.0), (60, 0.0, 2.0)]
)
def test_without_growth_time_or_a_start_there_is_no_doubling_time(days: int | None, then: float, now: float) -> None:
    (course,) = courses(lesion("a", now), [DatedMeasurements(days, lesion("a", then))])
    assert course.doubling_time_days is None


def test_three_dates_make_one_course_oldest_first_whatever_the_order() -> None:
    priors = [DatedMeasurements(100, lesion("a", 2.0)), DatedMeasurements(200, lesion("a", 1.0))]
    (course,) = courses(lesion("a", 4.0 * math.e), priors)
    assert [(s.days_before, s.volume_ml) for s in course.sizes] == [(200, 1.0), (100, 2.0), (0, 4.0 * math.e)]
    assert course.doubling_time_days == pytest.approx(100 * math.log(2) / math.log(2 * math.e))
    assert courses(lesion("b", 1.0), priors) == ()


def test_the_five_largest_measurable_lesions_are_summed_two_of_an_organ() -> None:
    then = {"a": 30.0, "b": 28.0, "c": 26.0, "d": 24.0, "e": 22.0, "f": 20.0, "g": 9.0}
    prior = DatedMeasurements(50, tuple(m for uid, long in then.items() for m in lesion(uid, 1.0, long)))
    now = tuple(m for uid, long in then.items() for m in lesion(uid, 1.0, long / 2))
    organs = {"a": "liver", "b": "liver", "c": "liver"}
    total = sum_of_diameters(courses(now, [prior]), organs=organs)
    assert total is not None
    assert total.tracking_uids == ("a", "b", "d", "e", "f")
    assert total.sums_mm == (124.0, 62.0)
    assert total.change_percent == pytest.approx(-50.0)
    unlimited = sum_of_diameters(courses(now, [prior]))
    assert unlimited is not None
    assert unlimited.tracking_uids == ("a", "b", "c", "d", "e")


def test_a_lesion_under_ten_millimetres_or_missing_on_a_date_is_not_summed() -> None:
    priors = [DatedMeasurements(90, lesion("a", 1.0, 12.0)), DatedMeasurements(30, lesion("a", 1.0, 13.0))]
    late = DatedMeasurements(30, (*priors[1].measurements, *lesion("late", 1.0, 40.0)))
    now = (*lesion("a", 1.0, 11.0), *lesion("late", 1.0, 41.0))
    total = sum_of_diameters(courses(now, [priors[0], late]))
    assert total is not None
    assert (total.tracking_uids, total.days_before, total.sums_mm) == (("a",), (90, 30, 0), (12.0, 13.0, 11.0))
    assert sum_of_diameters(courses(lesion("a", 1.0, 30.0), [DatedMeasurements(9, lesion("a", 1.0, 9.9))])) is None
