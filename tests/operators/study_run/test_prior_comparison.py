"""Two dates of the phantom: what moved by a known way and grew by a known factor is found again."""

from dataclasses import replace

import numpy as np
import pytest

from operators.domain.geometry import Geometry
from operators.domain.reading import PriorReading, SeriesReading, SeriesRegistration, StudyReading
from operators.domain.registration import Registration, RegistrationQuality, Verdict
from operators.domain.transform import Affine
from operators.heads.measurements import measure
from operators.study_run.prior_comparison import compare_with_priors
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case, reading_of

SHIFT_MM = np.array([6.0, -4.0, 3.0])
"""From a place of today to the same tissue's place on the prior."""
QUALITY = RegistrationQuality(0.3, 0.9, 1.0, 0.1, 0.0, 0.1)
MASS = 3
"""Number of the segment that localises a finding."""


def registration(verdict: Verdict = "good") -> Registration:
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT_MM
    return Registration("affine", Affine(matrix), None, QUALITY, verdict, ())


def ellipsoid(geometry: Geometry, centre: np.ndarray, radius_mm: float) -> np.ndarray:
    positions = geometry.positions(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return np.asarray(((positions - centre) ** 2).sum(axis=-1) <= radius_mm**2)


def series_with(spec: SeriesSpec, masks: dict[str, np.ndarray]) -> SeriesReading:
    """Segments of a mass each, named by their tracking UIDs, measured."""
    case = build_case(build_source_series(spec))
    mass = case.segments.segments[MASS - 1]
    segments = tuple(
        replace(mass, number=number, tracking_uid=uid, mask=mask)
        for number, (uid, mask) in enumerate(masks.items(), start=1)
    )
    series = replace(case.segments, segments=segments)
    return SeriesReading(case.source, findings=case.findings, segments=series, measurements=measure(series))


def compared(now: SeriesReading, *dates: tuple[SeriesReading, int | None], verdict: Verdict = "good") -> SeriesReading:
    uid = now.source.series_instance_uid
    priors = [PriorReading(f"1.{number}", days, {uid: then}) for number, (then, days) in enumerate(dates)]
    found = tuple(SeriesRegistration(now, prior.compared[uid], prior, registration(verdict)) for prior in priors)
    (series,) = compare_with_priors(StudyReading((now,), tuple(priors), found)).current
    return series


SPEC = SeriesSpec(shape=(40, 60, 60), slice_spacing=2.0, pixel_spacing=(2.0, 2.0))
GRID = build_source_series(SPEC).volume.geometry
CENTRE = GRID.positions(np.array([20, 30, 30]))
OTHER = GRID.positions(np.array([20, 45, 45]))


def one(uid: str, radius_mm: float, centre: np.ndarray = CENTRE) -> dict[str, np.ndarray]:
    return {uid: ellipsoid(GRID, centre, radius_mm)}


def test_a_lesion_that_moved_is_found_again_with_its_change():
    now, then = series_with(SPEC, one("now", 10.0)), series_with(SPEC, one("then", 8.0, CENTRE + SHIFT_MM))
    series = compared(now, (then, 120))
    (segment,) = series.segments.segments
    assert segment.tracking_uid == "then"
    assert {item.tracking_uid for item in series.measurements} == {"then"}
    for item, before, unchanged in zip(series.measurements, then.measurements, now.measurements, strict=True):
        assert (item.prior_value, item.prior_date_days) == (before.value, 120)
        assert item.value == unchanged.value
    volume = series.measurements[0]
    # The ratio of the balls' volumes, as far as voxels of 2 mm tell them.
    assert 1 + volume.change_percent / 100 == pytest.approx((10.0 / 8.0) ** 3, rel=0.05)


def test_a_new_lesion_has_no_prior_and_one_that_is_gone_gives_none():
    now = series_with(SPEC, one("stays", 8.0) | one("new", 6.0, OTHER))
    then = series_with(SPEC, one("stayed", 8.0, CENTRE + SHIFT_MM) | one("gone", 6.0, OTHER - [40, 0, 0]))
    series = compared(now, (then, 30))
    assert [segment.tracking_uid for segment in series.segments.segments] == ["stayed", "new"]
    assert all((item.prior_value is None) == (item.tracking_uid == "new") for item in series.measurements)


def test_of_two_parts_of_one_lesion_the_larger_is_the_same():
    whole = ellipsoid(GRID, CENTRE, 12.0)
    cut = np.zeros_like(whole)
    cut[:, :33] = True
    now = series_with(SPEC, {"small": whole & ~cut, "large": whole & cut})
    then = series_with(SPEC, one("whole", 12.0, CENTRE + SHIFT_MM))
    assert [item.tracking_uid for item in compared(now, (then, 5)).segments.segments] == ["small", "whole"]


def test_values_are_the_latest_priors_and_the_tracking_uid_is_the_earliests():
    now = series_with(SPEC, one("now", 10.0))
    latest, earliest = (
        series_with(SPEC, one(uid, radius, CENTRE + SHIFT_MM)) for uid, radius in (("latest", 9.0), ("earliest", 7.0))
    )
    series = compared(now, (latest, 90), (earliest, 400))
    assert series.segments.segments[0].tracking_uid == "earliest"
    assert series.measurements[0].prior_value == latest.measurements[0].value
    assert series.measurements[0].prior_date_days == 90


def test_a_failed_registration_compares_nothing():
    now, then = series_with(SPEC, one("now", 10.0)), series_with(SPEC, one("then", 8.0, CENTRE + SHIFT_MM))
    series = compared(now, (then, 1), verdict="failed")
    assert series.segments.segments[0].tracking_uid == "now"
    assert [item.prior_value for item in series.measurements] == [None] * len(now.measurements)


def test_what_a_border_cuts_off_is_linked_but_its_sizes_are_not_compared():
    edge = GRID.positions(np.array([1, 30, 30]))
    now, then = series_with(SPEC, one("now", 10.0, edge)), series_with(SPEC, one("then", 10.0, CENTRE))
    near = replace(registration(), affine=Affine(_shift(CENTRE - edge)))
    found = SeriesRegistration(now, then, PriorReading("1.2", 1, {}), near)
    (series,) = compare_with_priors(StudyReading((now,), (), (found,))).current
    assert series.segments.segments[0].tracking_uid == "then"
    assert all(item.prior_value is None for item in series.measurements)


def test_organs_are_linked_by_their_label():
    case = build_case(build_source_series(SeriesSpec()))
    (now,) = reading_of([case]).current
    (then,) = reading_of([case]).current
    assert then.segments is not None
    earlier = [replace(one, tracking_uid=f"then {one.number}") for one in then.segments.segments]
    then = replace(then, segments=replace(then.segments, segments=tuple(earlier)))
    still = replace(registration(), affine=Affine(np.eye(4)))
    found = SeriesRegistration(now, then, PriorReading("1.2", None, {}), still)
    (series,) = compare_with_priors(StudyReading((now,), (), (found,))).current
    assert [segment.tracking_uid for segment in series.segments.segments] == ["then 1", "then 2", "then 3"]
    assert {item.change_percent for item in series.measurements} <= {0.0, None}


def _shift(vector: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix
