"""Three dates of one patient: sizes, changes and identities against what the balls' radii say."""

import numpy as np
import pytest

from follow_up_cases import BEFORE, FIRST, GROWING, LIVER, NEW, NOW, ball_mask, ball_ml, followed, tracking_uid
from operators.domain.follow_up import Course, FollowUp
from operators.domain.reading import StudyReading

VOXELS = 0.06
"""How far the voxels' volume of a ball of 6 mm may lie off the formula, as a share."""


@pytest.fixture(scope="module")
def reading() -> StudyReading:
    return followed(NOW, BEFORE, FIRST)


@pytest.fixture(scope="module")
def follow_up(reading: StudyReading) -> FollowUp:
    (follow_up,) = reading.follow_ups
    return follow_up


def of(follow_up: FollowUp, name: str) -> Course:
    return next(course for course in follow_up.courses if course.name == name)


def test_the_dates_are_the_oldest_first_with_their_studies(follow_up: FollowUp) -> None:
    assert [(date.days_before, date.verdict) for date in follow_up.dates] == [(200, "good"), (80, "good"), (0, None)]
    assert [date.study_instance_uid for date in follow_up.dates] == [
        date.spec.uid("study") for date in (FIRST, BEFORE, NOW)
    ]


def test_a_growing_lesion_has_its_volumes_and_its_doubling_time(follow_up: FollowUp) -> None:
    course = of(follow_up, GROWING)
    for sizes, radius in zip(course.sizes, (8.0, 10.0, 13.0), strict=True):
        assert sizes is not None
        assert sizes.volume_ml == pytest.approx(ball_ml(radius), rel=VOXELS)
        # Corner to corner: longer than the ball by a voxel's diagonal at most.
        assert 2 * radius - 1.4 <= sizes.long_axis_mm <= 2 * radius + 1.4 * np.sqrt(2)
    assert course.change_ml == pytest.approx(ball_ml(13.0) - ball_ml(10.0), rel=2 * VOXELS)
    assert course.change_percent == pytest.approx(100 * (1.3**3 - 1), rel=2 * VOXELS)
    assert course.doubling_time_days == pytest.approx(80 * np.log(2) / np.log(1.3**3), rel=2 * VOXELS)


def test_what_is_gone_stays_in_the_table_and_what_is_new_has_no_past(follow_up: FollowUp) -> None:
    gone = follow_up.courses[-1]
    assert gone.segment_number is None
    assert gone.name == "Mass, earlier 1"
    assert gone.sizes[2] is None
    for sizes, radius in zip(gone.sizes[:2], (9.0, 7.0), strict=True):
        assert sizes is not None
        assert sizes.volume_ml == pytest.approx(ball_ml(radius), rel=VOXELS)
    assert [sizes is None for sizes in of(follow_up, NEW).sizes] == [True, True, False]
    assert of(follow_up, NEW).change_ml is None


def test_one_thing_has_the_first_date_s_tracking_uid_wherever_it_stands(
    reading: StudyReading, follow_up: FollowUp
) -> None:
    first = {name: tracking_uid("first", number) for number, name in enumerate(FIRST.balls, start=1)}
    series = reading.current[0]
    named = {segment.label: segment.tracking_uid for segment in series.slice_segments.segments}
    assert named == {GROWING: first[GROWING], LIVER: first[LIVER], NEW: tracking_uid("now", 2)}
    assert {item.tracking_uid for item in series.measurements} == set(named.values())
    assert {course.tracking_uid for course in follow_up.courses} == {*named.values(), first["gone"]}
    for registration in reading.registrations:
        assert {segment.tracking_uid for segment in registration.carried.segments} == set(first.values())


def test_each_prior_is_carried_onto_the_places_that_its_tissue_has_today(reading: StudyReading) -> None:
    grid = reading.sources[0].volume.geometry
    middle = grid.positions((np.array(grid.shape) - 1) / 2)
    for registration, date in zip(reading.registrations, (BEFORE, FIRST), strict=True):
        for segment, ball in zip(registration.slice_carried.segments, date.balls.values(), strict=True):
            truth = ball_mask(grid, middle + ball.place, ball.radius_mm)
            assert 2 * (segment.mask & truth).sum() / (segment.mask.sum() + truth.sum()) > 0.9
            assert segment.finding is None


def test_the_sum_counts_what_was_measured_on_every_date(follow_up: FollowUp) -> None:
    total = follow_up.sum_of_diameters
    assert total is not None
    assert total.tracking_uids == (of(follow_up, GROWING).tracking_uid,)
    assert total.sums_mm == tuple(sizes.long_axis_mm for sizes in of(follow_up, GROWING).sizes if sizes)
    assert total.change_percent == total.change_from_smallest_percent == 100 * (total.sums_mm[2] / total.sums_mm[0] - 1)


def test_a_failed_registration_follows_nothing_and_carries_nothing() -> None:
    reading = followed(NOW, BEFORE, verdict="failed")
    assert reading.follow_ups == ()
    assert reading.registrations[0].carried is None
