"""Courses of which every change is a formula."""

import math
from collections.abc import Sequence

import pytest

from operators.domain.concepts import LONG_AXIS, LYMPH_NODE, MASS, MILLILITRE, MILLIMETRE, SEGMENTS, VOLUME, Code
from operators.domain.follow_up import (
    Course,
    FollowUpDate,
    Sizes,
    SumOfDiameters,
    follow_up,
    sum_of_diameters,
    with_changes,
    with_prior_value,
)
from operators.domain.measurement import Measurement

LIVER = Code("10200004", "SCT", "Liver")


def volume(value: float) -> Measurement:
    return Measurement("volume", VOLUME, value, MILLILITRE, "1.2.3", 1, "a")


def course(uid: str, *sizes: Sizes | None, code: Code = MASS, site: Code | None = None, lesion: bool = True) -> Course:
    return Course(uid, code, site, lesion, uid, 1, sizes)


def volumes(*values: float | None) -> Course:
    return course("a", *(None if value is None else Sizes(value) for value in values))


def longs(uid: str, *values: float, site: Code | None = None, code: Code = MASS) -> Course:
    return course(uid, *(Sizes(1.0, value, value / 2) for value in values), site=site, code=code)


def dates(*days: int | None) -> list[FollowUpDate]:
    return [FollowUpDate(f"1.{number}", "1.5", before) for number, before in enumerate(days)]


def total(*courses: Course, slice_spacing_mm: float = 1.0) -> SumOfDiameters:
    found = sum_of_diameters(courses, slice_spacing_mm=slice_spacing_mm)
    assert found is not None
    return found


def test_a_value_stands_beside_the_earlier_one_with_its_change() -> None:
    found = with_prior_value(volume(6.0), volume(4.0), 90)
    assert (found.value, found.prior_value, found.prior_date_days) == (6.0, 4.0, 90)
    assert found.change_percent == pytest.approx(50.0)


def test_what_was_empty_then_has_no_change_in_percent() -> None:
    found = with_prior_value(volume(1.0), volume(0.0), None)
    assert (found.prior_value, found.change_percent) == (0.0, None)


def test_a_volume_that_doubles_in_thirty_days_has_a_doubling_time_of_thirty_days() -> None:
    found = with_changes(volumes(2.0, 8.0), dates(60, 0))
    assert (found.change_ml, found.change_percent) == (6.0, 300.0)
    assert found.doubling_time_days == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("days", "then", "now"), [(60, 2.0, 2.0), (60, 2.0, 1.0), (0, 1.0, 2.0), (None, 1.0, 2.0), (60, 0.0, 2.0)]
)
def test_without_growth_time_or_a_start_there_is_no_doubling_time(days: int | None, then: float, now: float) -> None:
    assert with_changes(volumes(then, now), dates(days, 0)).doubling_time_days is None


def test_an_organ_has_no_doubling_time() -> None:
    found = with_changes(course("a", Sizes(900.0), Sizes(905.0), lesion=False), dates(60, 0))
    assert (found.change_ml, found.doubling_time_days) == (5.0, None)


def test_the_change_is_since_it_was_last_measured_as_a_whole() -> None:
    last_missing = with_changes(volumes(1.0, None, 4.0 * math.e), dates(200, 100, 0))
    assert last_missing.doubling_time_days == pytest.approx(200 * math.log(2) / math.log(4 * math.e))
    cut_off = with_changes(course("a", Sizes(1.0), Sizes(3.0, is_cut_off=True), Sizes(4.0)), dates(200, 100, 0))
    assert cut_off.change_ml == 3.0
    for nothing in (volumes(1.0, None), volumes(None, 1.0), course("a", Sizes(1.0), Sizes(2.0, is_cut_off=True))):
        assert with_changes(nothing, dates(9, 0)).change_ml is None


def test_the_five_largest_measurable_lesions_are_summed_two_of_an_organ() -> None:
    then = {"a": 30.0, "b": 28.0, "c": 26.0, "d": 24.0, "e": 22.0, "f": 20.0, "g": 9.0}
    sites = dict.fromkeys("abc", LIVER)
    found = total(*(longs(uid, long, long / 2, site=sites.get(uid)) for uid, long in then.items()))
    assert found.tracking_uids == ("a", "b", "d", "e", "f")
    assert found.sums_mm == (124.0, 62.0)
    assert found.change_percent == pytest.approx(-50.0)
    unlimited = total(*(longs(uid, long, long / 2) for uid, long in then.items()))
    assert unlimited.tracking_uids == ("a", "b", "c", "d", "e")


def test_the_change_is_told_against_the_first_and_against_the_smallest_before() -> None:
    found = total(longs("a", 20.0, 10.0, 15.0))
    assert (found.change_percent, found.change_from_smallest_percent) == pytest.approx((-25.0, 50.0))


def test_what_is_not_measurable_or_missing_on_a_date_is_not_summed() -> None:
    late, small, part = (
        course("late", None, Sizes(1.0, 40.0, 9.0), Sizes(1.0, 41.0, 9.0)),
        longs("small", 9.9, 30.0, 30.0),
        course("part", Sizes(1.0, 30.0, 9.0), Sizes(1.0, 30.0, 9.0, is_cut_off=True), Sizes(1.0, 30.0, 9.0)),
    )
    organ = course("organ", *(Sizes(1.0, 50.0, 40.0),) * 3, code=SEGMENTS["liver"][1], lesion=False)
    found = total(longs("a", 12.0, 13.0, 11.0), late, small, part, organ)
    assert (found.tracking_uids, found.sums_mm) == (("a",), (12.0, 13.0, 11.0))
    assert sum_of_diameters([late, small, part, organ]) is None


def test_thick_slices_and_lymph_nodes_have_their_own_limits() -> None:
    assert sum_of_diameters([longs("a", 15.0, 15.0)], slice_spacing_mm=8.0) is None
    assert total(longs("a", 16.0, 15.0), slice_spacing_mm=8.0).sums_mm == (16.0, 15.0)
    assert sum_of_diameters([longs("node", 29.0, 29.0, code=LYMPH_NODE)]) is None
    assert total(longs("node", 30.0, 32.0, code=LYMPH_NODE)).sums_mm == (15.0, 16.0)


def test_a_lesion_is_always_told_and_an_organ_where_it_was_whole_on_two_dates() -> None:
    part = Sizes(900.0, is_cut_off=True)

    def told(*courses: Course) -> Sequence[str]:
        return [one.name for one in follow_up("1.5", dates(9, 0), courses, slice_spacing_mm=1.0).courses]

    liver, cut = course("liver", Sizes(900.0), Sizes(950.0), lesion=False), course("cut", part, part, lesion=False)
    assert told(course("new", None, Sizes(1.0, 5.0, 4.0)), cut, liver) == ["new", "liver"]


def test_sizes_are_taken_from_the_measurements_by_their_codes() -> None:
    long = Measurement("long", LONG_AXIS, 12.0, MILLIMETRE, "1.2.3", 1, "a")
    assert Sizes.of([volume(3.0), long], is_cut_off=False) == Sizes(3.0, 12.0, None)
    assert Sizes.of([volume(3.0)], is_cut_off=True).comparable_volume_ml is None
