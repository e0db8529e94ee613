"""A patient on three dates: lesions of known size and place, moved by a known way from one date to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operators.dicom.volumes.slice_masks import on_slices
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.concepts import SEGMENTS
from operators.domain.finding import Finding
from operators.domain.geometry import Geometry
from operators.domain.reading import PriorReading, SeriesReading, SeriesRegistration, StudyReading
from operators.domain.registration import Registration, RegistrationQuality, Verdict
from operators.domain.segment import Segment, SeriesSegments
from operators.domain.transform import Affine
from operators.heads.measurements import measure
from operators.study_run.prior_comparison import compare_with_priors
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case

SPEC = SeriesSpec(shape=(56, 84, 84), slice_spacing=1.5, pixel_spacing=(1.4, 1.4), study="now", series="now")
QUALITY = RegistrationQuality(0.3, 0.9, 1.0, 0.1, 0.0, 0.1)


@dataclass(frozen=True)
class Ball:
    """A lesion or a part of the liver. place : of today, in mm from the middle of the grid"""

    place: tuple[float, float, float]
    radius_mm: float
    label: str = "soft-tissue mass"


@dataclass(frozen=True)
class Date:
    """shift_mm : from a place of today to the same tissue then"""

    name: str
    days_before: int | None
    balls: Mapping[str, Ball]
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def spec(self) -> SeriesSpec:
        return replace(SPEC, study=self.name, series=self.name)

    def read(self) -> SeriesReading[SourceSeries]:
        """With the balls as heads would have outlined them."""
        case = build_case(build_source_series(self.spec))
        grid = case.source.volume.geometry
        series = SeriesSegments(
            case.source.series_instance_uid,
            grid,
            tuple(self._segment(number, name, grid) for number, name in enumerate(self.balls, start=1)),
        )
        findings = tuple(finding for finding in case.findings if finding.localisation) if self.days_before == 0 else ()
        return SeriesReading(
            case.source,
            findings=tuple(_told(finding, series) for finding in findings),
            segments=series,
            slice_segments=on_slices(series, case.source),
            measurements=measure(series),
        )

    def _segment(self, number: int, name: str, grid: Geometry) -> Segment:
        ball = self.balls[name]
        middle = grid.positions((np.array(grid.shape) - 1) / 2)
        mask = ball_mask(grid, middle + ball.place + np.array(self.shift_mm), ball.radius_mm)
        is_lesion = ball.label == "soft-tissue mass"
        uid = tracking_uid(self.name, number)
        category, type_ = SEGMENTS[ball.label]
        finding = "soft-tissue mass" if is_lesion else None
        return Segment(number, name, category, type_, "organs", f"{self.name} {name}", uid, mask, finding)


def tracking_uid(date: str, number: int) -> str:
    return f"2.25.{sum(map(ord, date))}{number}"


def ball_mask(geometry: Geometry, centre: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    positions = geometry.positions(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return np.asarray(((positions - centre) ** 2).sum(axis=-1) <= radius_mm**2)


def ball_ml(radius_mm: float) -> float:
    return 4 / 3 * np.pi * radius_mm**3 / 1000


def followed(now: Date, *priors: Date, verdict: Verdict = "good") -> StudyReading[SourceSeries]:
    """Compared by registrations that know the shifts; *priors* the latest first."""
    today = now.read()
    uid = today.source.series_instance_uid
    read = [PriorReading(date.spec.uid("study"), date.days_before, {uid: date.read()}) for date in priors]
    registrations = tuple(
        SeriesRegistration(today, prior.compared[uid], prior, registration(date.shift_mm, verdict))
        for prior, date in zip(read, priors, strict=True)
    )
    return compare_with_priors(StudyReading((today,), tuple(read), registrations))


def registration(shift_mm: tuple[float, float, float], verdict: Verdict = "good") -> Registration:
    matrix = np.eye(4)
    matrix[:3, 3] = shift_mm
    return Registration("affine", Affine(matrix), None, QUALITY, verdict, ())


def _told(finding: Finding, series: SeriesSegments) -> Finding:
    place = finding.localisation
    assert place is not None
    return replace(finding, localisation=replace(place, tracking_uid=series.segments[0].tracking_uid))


GROWING, NEW, GONE, LIVER = "growing", "new", "gone", "liver"
NOW = Date(
    "now",
    0,
    {
        GROWING: Ball((-14, -10, 4), 13.0),
        NEW: Ball((20, -20, -8), 6.0),
        LIVER: Ball((18, 22, 0), 18.0, "liver"),
    },
)
BEFORE = Date(
    "before",
    80,
    {
        GROWING: Ball((-14, -10, 4), 10.0),
        GONE: Ball((-20, 30, -6), 7.0),
        LIVER: Ball((18, 22, 0), 18.0, "liver"),
    },
    (6.0, -4.0, 2.0),
)
FIRST = Date(
    "first",
    200,
    {
        GROWING: Ball((-14, -10, 4), 8.0),
        GONE: Ball((-20, 30, -6), 9.0),
        LIVER: Ball((18, 22, 0), 17.0, "liver"),
    },
    (-4.0, 2.0, -4.0),
)
