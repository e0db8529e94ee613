"""The regular grid that a stack of slices is read onto, and whether its slices lie on it as they are.

A stack may be straight and even, tilted (CT with a tilted gantry: every slice is shifted in its plane), or uneven
(steps that vary a little). The last two are resampled on the slices' true positions. A gap that could be a missing
slice is refused: what was there is unknown.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.dicom.study.header_values import number_of
from operators.dicom.volumes.slice_stack import SliceStack, single_slice_step
from operators.domain.geometry import Geometry
from operators.errors import SeriesGeometryError

POSITION_TOLERANCE = 0.02
"""How far a slice may lie from its place on the grid, as a share of the step; scanners round to 0.01 mm."""

IN_PLANE_TOLERANCE = 0.1
"""The same in its plane, as a share of the pixel spacing."""

MAX_STEP_RATIO = 1.5
"""Largest over smallest step that is still a step that varies; a missing slice makes it 2."""

SPARSE_RATIO = 1.9
"""Distance over thickness of slices from which others seem to be missing between them: every second one makes it 2."""

MAX_SHEAR = math.tan(math.radians(45))
"""CT gantries tilt by 30 degrees at most; more is an error of the header."""

_MIN_THICKNESS_MM = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class SliceLayout:
    """Where the voxels of the finished volume lie, and where the slices do in its index coordinates.

    depths : (D,) float64, the slices' places along the first index axis; 0, 1, 2 ... when even
    offsets : (D, 2) float64, index of the slices' first pixel along rows and columns; 0 when straight
    """

    geometry: Geometry
    depths: NDArray[np.float64]
    offsets: NDArray[np.float64]
    remarks: tuple[str, ...] = ()

    @property
    def is_even(self) -> bool:
        return bool(np.array_equal(self.depths, np.arange(len(self.depths))))

    @property
    def is_straight(self) -> bool:
        return not self.offsets.any()

    @property
    def is_resampled(self) -> bool:
        return not (self.is_even and self.is_straight)


def lay_out(stack: SliceStack, *, rows: int, columns: int, frame_of_reference_uid: str) -> SliceLayout:
    """The grid of a stack.

    Raises
    ------
    SeriesGeometryError
        When a slice is missing, when the step changes, or when slices are displaced without a rule.
    """
    step, depths, depth_remarks = _along_normal(stack)
    offsets, tilt_remarks = _in_plane(stack)
    low, high = np.floor(offsets.min(axis=0)), np.ceil(offsets.max(axis=0))
    extra_rows, extra_columns = (high - low).astype(int)
    affine = np.eye(4)
    affine[:3, 0] = stack.normal * step
    affine[:3, 1] = stack.column_cosine * stack.pixel_spacing[0]
    affine[:3, 2] = stack.row_cosine * stack.pixel_spacing[1]
    affine[:3, 3] = stack.positions[0] + affine[:3, 1:3] @ low
    shape = (len(stack.slices), rows + int(extra_rows), columns + int(extra_columns))
    geometry = Geometry(affine, shape, frame_of_reference_uid)
    sparse = sparseness(stack, step)
    sparse_remarks = (f"{stack.name}: {sparse}; the slices are read as they are",) if sparse else ()
    return SliceLayout(geometry, depths, offsets - low, (*depth_remarks, *tilt_remarks, *sparse_remarks))


def sparseness(stack: SliceStack, step_mm: float) -> str | None:
    """Whether slices seem to be missing regularly, in plain words.

    Even steps hide it from every comparison of the slices with one another. It may be meant, too (MR with gaps, thin CT
    slices at intervals), so it is said and not refused.
    """
    thickness = number_of(stack.slices[0].header, "SliceThickness") or 0.0
    if len(stack.slices) == 1 or thickness < _MIN_THICKNESS_MM or step_mm < SPARSE_RATIO * thickness:
        return None
    gap_mm = step_mm - thickness
    return (
        f"slices of {thickness:.3g} mm lie {step_mm:.3g} mm apart, {gap_mm:.3g} mm between them were not imaged or sent"
    )


def _along_normal(stack: SliceStack) -> tuple[float, NDArray[np.float64], tuple[str, ...]]:
    """mm between the grid's planes, the slices' places among them, and what was done."""
    count = len(stack.slices)
    even = np.arange(count, dtype=np.float64)
    if count == 1:
        return single_slice_step(stack), even, ()
    steps = np.diff(stack.distances)
    step = float(np.ptp(stack.distances)) / (count - 1)
    depths = (stack.distances - stack.distances[0]) / step if step else even
    if step and np.abs(depths - even).max() <= POSITION_TOLERANCE:
        return step, even, ()
    if not step or steps.max() > MAX_STEP_RATIO * steps.min():
        raise _uneven(stack, steps)
    return (
        step,
        depths,
        (
            f"{stack.name}: slices are {steps.min():.3f} to {steps.max():.3f} mm apart; the volume was interpolated "
            f"linearly between them to {step:.3f} mm throughout, so no segmentation is written on its slices",
        ),
    )


def _uneven(stack: SliceStack, steps: NDArray[np.float64]) -> SeriesGeometryError:
    usual = float(np.median(steps))
    widest = int(np.argmax(steps))
    missing = round(float(steps[widest]) / usual) - 1 if usual else 0
    guess = f"{missing} missing between slices {widest + 1} and {widest + 2}" if missing else "the step changes"
    return SeriesGeometryError(
        f"{stack.name}: {len(steps) + 1} slices are {steps.min():.3f} to {steps.max():.3f} mm apart, expected "
        f"{usual:.3f} mm throughout; {guess}; send the complete series"
    )


def _in_plane(stack: SliceStack) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """(D, 2) index offsets along rows and columns against the first slice, all zero when the stack is straight."""
    spacing = np.array(stack.pixel_spacing)
    away = stack.positions - stack.positions[0]
    shifts_mm = away @ np.stack([stack.column_cosine, stack.row_cosine], axis=1)
    if np.abs(shifts_mm / spacing).max() <= IN_PLANE_TOLERANCE:
        return np.zeros_like(shifts_mm), _tag_without_tilt(stack)
    distances = stack.distances - stack.distances[0]
    shear = distances @ shifts_mm / (distances @ distances) if distances.any() else np.full(2, np.inf)
    slope = float(np.linalg.norm(shear))
    shift = float(np.linalg.norm(shifts_mm, axis=1).max())
    if not slope <= MAX_SHEAR or np.abs((shifts_mm - np.outer(distances, shear)) / spacing).max() > IN_PLANE_TOLERANCE:
        raise SeriesGeometryError(
            f"{stack.name}: slices are displaced in their plane by up to {shift:.2f} mm, not in proportion to their "
            "distance; expected a straight or evenly tilted stack"
        )
    return np.outer(distances, shear) / spacing, (_tilt_remark(stack, shift, math.degrees(math.atan(slope))),)


def _tilt_remark(stack: SliceStack, shift_mm: float, degrees: float) -> str:
    tag = number_of(stack.slices[0].header, "GantryDetectorTilt")
    said = "GantryDetectorTilt is missing" if tag is None else f"GantryDetectorTilt says {tag:.1f}"
    return (
        f"{stack.name}: slices shift by {shift_mm:.2f} mm in their plane, a gantry tilt of {degrees:.1f} degrees "
        f"({said}); they were shifted back by linear interpolation, so no segmentation is written on its slices"
    )


def _tag_without_tilt(stack: SliceStack) -> tuple[str, ...]:
    tag = number_of(stack.slices[0].header, "GantryDetectorTilt") or 0.0
    if abs(tag) < 0.1 or len(stack.slices) == 1:
        return ()
    return (
        f"{stack.name}: GantryDetectorTilt says {tag:.1f} degrees, but the slices lie straight above one another; "
        "their positions are used",
    )
