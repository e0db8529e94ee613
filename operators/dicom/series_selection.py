"""Which series of a study are worth encoding, and why, in plain words.

Every series is judged for the role of its modality. Requirements decide, preferences rank; the best series of each
role is selected. Header words are hints and only ever prefer, never require.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from operators.dicom.study_index import SeriesIndex, StudyIndex
from operators.errors import NoMatchingSeriesError

MIN_SLICES = 3
"""Fewer slices make no volume whose slice spacing can be checked."""

AXIAL_MIN_COSINE = 0.7
"""A slice normal this near the head-foot axis counts as axial."""

_NOT_ANATOMY = {
    "LOCALIZER": "a localiser",
    "MOSAIC": "a mosaic of slices in one image",
    "MIP": "a projection, not slices",
    "MAXIMUM INTENSITY PROJECTION": "a projection, not slices",
    "SECONDARY CAPTURE": "a screen capture",
    "SCREEN SAVE": "a screen capture",
    "ADC": "a derived diffusion map",
}
"""Values of Image Type that rule a series out."""


@dataclass(frozen=True, slots=True)
class Role:
    """What the model's heads can work with."""

    name: str
    modality: str
    sop_class_uid: str


ROLES = (Role("CT volume", "CT", CTImageStorage), Role("MR volume", "MR", MRImageStorage))


@dataclass(frozen=True, slots=True)
class SeriesDecision:
    """What was decided about one series.

    score : higher is better, 0 for a series that was ruled out
    reasons : for a rejected series what rules it out, for a selected one what speaks for it
    """

    series: SeriesIndex
    role: str | None
    selected: bool
    score: float
    reasons: tuple[str, ...]


def select_series(index: StudyIndex) -> tuple[SeriesDecision, ...]:
    """A decision for every series, the selected ones first, then by score."""
    decisions = [_judge(series) for series in index.series]
    for role in ROLES:
        rivals = [decision for decision in decisions if decision.role == role.name]
        if rivals:
            best = max(rivals, key=lambda decision: (decision.score, decision.series.series_instance_uid))
            decisions = [_ranked(decision, best, role) for decision in decisions]
    return tuple(sorted(decisions, key=lambda decision: (not decision.selected, -decision.score)))


def selected_series(decisions: Iterable[SeriesDecision]) -> tuple[SeriesDecision, ...]:
    """The selected ones.

    Raises
    ------
    NoMatchingSeriesError
        When there is none.
    """
    decisions = tuple(decisions)
    selected = tuple(decision for decision in decisions if decision.selected)
    if not selected:
        raise NoMatchingSeriesError(
            f"study: no CT or MR series with at least {MIN_SLICES} slices among its {len(decisions)} series"
        )
    return selected


def _judge(series: SeriesIndex) -> SeriesDecision:
    role = next((role for role in ROLES if role.modality == series.modality), None)
    if role is None:
        return SeriesDecision(series, None, False, 0.0, (f"modality {series.modality or 'missing'} is not CT or MR",))
    failures = tuple(reason for requirement in _REQUIREMENTS if (reason := requirement(series, role)))
    if failures:
        return SeriesDecision(series, None, False, 0.0, failures)
    score, reasons = _preferences(series)
    return SeriesDecision(series, role.name, True, round(score, 2), reasons)


def _ranked(decision: SeriesDecision, best: SeriesDecision, role: Role) -> SeriesDecision:
    if decision.role != role.name or decision is best:
        return decision
    reason = f"score {decision.score:g} for {role.name}, series {best.series.series_instance_uid} has {best.score:g}"
    return replace(decision, selected=False, role=None, reasons=(reason, *decision.reasons))


def _image_object(series: SeriesIndex, role: Role) -> str | None:
    classes = {str(header.get("SOPClassUID", "")) for header in series.headers}
    return None if classes == {role.sop_class_uid} else f"holds other objects than single-frame {role.modality} images"


def _identified(series: SeriesIndex, role: Role) -> str | None:
    complete = series.series_instance_uid and all(header.get("SOPInstanceUID") for header in series.headers)
    return None if complete else "instances without their UIDs, results could not refer to them"


def _anatomy(series: SeriesIndex, role: Role) -> str | None:
    types = {str(value).upper() for header in series.headers for value in header.get("ImageType") or ()}
    return next((f"Image Type says {word}: {what}" for word, what in _NOT_ANATOMY.items() if word in types), None)


def _enough_slices(series: SeriesIndex, role: Role) -> str | None:
    count = len(series.instances)
    return None if count >= MIN_SLICES else f"{count} slices, at least {MIN_SLICES} are needed"


def _placed(series: SeriesIndex, role: Role) -> str | None:
    needed = (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "FrameOfReferenceUID",
        "PixelSpacing",
        "Rows",
        "Columns",
    )
    missing = [word for word in needed if not all(header.get(word) for header in series.headers)]
    return f"slices without {', '.join(missing)}" if missing else None


def _one_orientation(series: SeriesIndex, role: Role) -> str | None:
    if _placed(series, role):
        return None
    orientations = np.array([header.ImageOrientationPatient for header in series.headers], np.float64)
    spread = float(np.abs(orientations - orientations[0]).max())
    return None if spread < 1e-2 else "slices of several orientations, as in a localiser"


_REQUIREMENTS: tuple[Callable[[SeriesIndex, Role], str | None], ...] = (
    _image_object,
    _identified,
    _anatomy,
    _enough_slices,
    _placed,
    _one_orientation,
)


def _preferences(series: SeriesIndex) -> tuple[float, tuple[str, ...]]:
    header = series.headers[0]
    image_type = [str(value).upper() for value in header.get("ImageType") or ()]
    points = [(math.log2(len(series.instances)), f"{len(series.instances)} slices")]
    if "ORIGINAL" in image_type:
        points.append((1.0, "original pixels, not derived"))
    if "PRIMARY" in image_type:
        points.append((1.0, "a primary image of the examination"))
    if _is_axial(header):
        points.append((2.0, "axial"))
    return sum(point for point, _ in points), tuple(reason for _, reason in points)


def _is_axial(header: Dataset) -> bool:
    row, column = np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3)
    return bool(abs(np.cross(row, column)[2]) >= AXIAL_MIN_COSINE)
