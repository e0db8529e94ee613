"""The regular grid that a stack of slices is read onto, and whether its slices lie on it as they are.

A stack may be straight and even, tilted (CT with a tilted gantry: every slice is shifted in its plane), or uneven
(steps that vary a little, that follow the slices' thickness, or of slabs that overlap). The last two are resampled on
the slices' true positions. A gap that could be a missing slice is refused: what was there is unknown.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.dicom.study.header_values import number_of
from operators.dicom.volumes.slice_stack import SliceStack, single_slice_step
from operators.dicom.volumes.slice_steps import SliceSteps
from operators.domain.geometry import Geometry
from operators.errors import SeriesGeometryError

POSITION_TOLERANCE = 0.02
"""How far a slice may lie from its place on the grid, as a share of the step; scanners round to 0.01 mm."""

IN_PLANE_TOLERANCE_MM = 0.5
"""How far a slice may lie off in its own plane: tables sag and sway by some tenths of a millimetre, less than a pixel
of most CT."""

IN_PLANE_REMARK = 0.1
"""Displacement in the plane from which it is said, as a share of the pixel spacing."""

SPARSE_RATIO = 1.9
"""Distance over thickness of slices from which others seem to be missing between them: every second one makes it 2."""

FINE_SHARE = 0.1
"""Share of the steps that may be shorter than the grid's, where steps are of several lengths."""

MAX_PLANES = 4
"""Planes of the grid for each slice, where steps are of several lengths; slices of 1.25 and 5 mm need four."""

MAX_SHEAR = math.tan(math.radians(45))
"""CT gantries tilt by 30 degrees at most; more is an error of the header."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceLayout:
    """Where the voxels of the finished volume lie, and where the slices do in its index coordinates.

    depths : (D,) float64, the slices' places along the first index axis; 0, 1, 2 ... when even. The grid may have more
        planes than there are slices
    offsets : (D, 2) float64, index of the slices' first pixel along rows and columns; 0 when straight
    """

    geometry: Geometry
    depths: NDArray[np.float64]
    offsets: NDArray[np.float64]
    remarks: tuple[str, ...] = ()

    @property
    def is_even(self) -> bool:
        return bool(np.array_equal(self.depths, np.arange(self.geometry.shape[0])))

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
        When a slice is missing, when the step changes and nothing tells why, or when slices are displaced without a
        rule.
    """
    along, depth_remarks = _along_normal(stack)
    across, tilt_remarks = _in_plane(stack)
    low, high = np.floor(across.offsets.min(axis=0)), np.ceil(across.offsets.max(axis=0))
    extra_rows, extra_columns = (high - low).astype(int)
    affine = np.eye(4)
    affine[:3, 0] = stack.normal * along.step
    affine[:3, 1] = stack.column_cosine * stack.pixel_spacing[0]
    affine[:3, 2] = stack.row_cosine * stack.pixel_spacing[1]
    affine[:3, 3] = stack.positions[0] + affine[:3, 1:3] @ (low + across.start / stack.pixel_spacing)
    shape = (along.count, rows + int(extra_rows), columns + int(extra_columns))
    geometry = Geometry(affine, shape, frame_of_reference_uid)
    sparse = sparseness(stack)
    sparse_remarks = (f"{stack.name}: {sparse}; the slices are read as they are",) if sparse else ()
    return SliceLayout(geometry, along.depths, across.offsets - low, (*depth_remarks, *tilt_remarks, *sparse_remarks))


def sparseness(stack: SliceStack) -> str | None:
    """Whether slices seem to be missing regularly, in plain words.

    Even steps hide it from every comparison of the slices with one another. It may be meant, too (MR with gaps, thin CT
    slices at intervals), so it is said and not refused.
    """
    steps = stack.steps
    if len(stack.slices) == 1 or not steps.usual_ratio >= SPARSE_RATIO:
        return None
    thickness, step_mm = float(np.median(steps.thicknesses)), float(np.median(steps.steps))
    gap_mm = step_mm - thickness
    return (
        f"slices of {thickness:.3g} mm lie {step_mm:.3g} mm apart, {gap_mm:.3g} mm between them were not imaged or sent"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """The grid's planes along the normal.

    step : mm
    depths : (D,) the slices' places among them
    """

    count: int
    step: float
    depths: NDArray[np.float64]


def _along_normal(stack: SliceStack) -> tuple[_Planes, tuple[str, ...]]:
    """The planes that the slices are read onto, and what was done."""
    count = len(stack.slices)
    even = np.arange(count, dtype=np.float64)
    if count == 1:
        return _Planes(1, single_slice_step(stack), even), ()
    steps = stack.steps
    mean = _planes(steps, count)
    if mean.step and np.abs(mean.depths - even).max() <= POSITION_TOLERANCE:
        return _Planes(count, mean.step, even), ()
    if steps.follow_thickness:
        fine, thickness = _fine_planes(steps), f"{steps.thicknesses.min():.3g} to {steps.thicknesses.max():.3g} mm"
        return fine, (_uneven_remark(stack, steps, fine, f" as the slices' thickness of {thickness} says"),)
    if steps.vary_little:
        return mean, (_uneven_remark(stack, steps, mean, ""),)
    if slabs := steps.slabs:
        fine = _fine_planes(steps)
        return fine, (_uneven_remark(stack, steps, fine, f" in {len(slabs)} slabs that overlap at their ends"),)
    raise _refusal(stack, steps)


def _planes(steps: SliceSteps, count: int) -> _Planes:
    """So many planes from the first slice to the last."""
    step = float(np.ptp(steps.distances)) / (count - 1)
    depths = (steps.distances - steps.distances[0]) / step if step else np.zeros(len(steps.distances))
    return _Planes(count, step, depths)


def _fine_planes(steps: SliceSteps) -> _Planes:
    """Planes as near to one another as the thin slices are, so that nothing that those show is lost.

    A few slices that lie nearer still, as where slabs overlap, do not count.
    """
    extent = float(np.ptp(steps.distances))
    count = round(extent / float(np.quantile(steps.steps, FINE_SHARE))) + 1
    return _planes(steps, min(count, MAX_PLANES * len(steps.distances)))


def _uneven_remark(stack: SliceStack, steps: SliceSteps, planes: _Planes, why: str) -> str:
    return (
        f"{stack.name}: slices are {steps.steps.min():.3f} to {steps.steps.max():.3f} mm apart{why}; the volume was "
        f"interpolated linearly between them to {planes.step:.3f} mm throughout, and masks back onto the slices"
    )


def _refusal(stack: SliceStack, steps: SliceSteps) -> SeriesGeometryError:
    usual = float(np.median(steps.steps))
    times = steps.steps / steps.expected if usual else np.ones(1)
    widest = int(np.argmax(times))
    missing = round(float(times[widest])) - 1
    if missing:
        guess = f"{missing} missing between slices {widest + 1} and {widest + 2}; send the complete series"
    else:
        guess = f"the step changes and {_thickness_words(steps)}, so that nothing tells whether slices are missing"
    return SeriesGeometryError(
        f"{stack.name}: {len(stack.slices)} slices are {steps.steps.min():.3f} to {steps.steps.max():.3f} mm apart, "
        f"expected {usual:.3f} mm throughout; {guess}"
    )


def _thickness_words(steps: SliceSteps) -> str:
    if not np.isfinite(steps.ratios).all():
        return "SliceThickness is not given"
    thinnest, thickest = float(steps.thicknesses.min()), float(steps.thicknesses.max())
    if thinnest == thickest:
        return f"SliceThickness stays {thinnest:.3g} mm"
    return f"SliceThickness of {thinnest:.3g} to {thickest:.3g} mm does not follow it"


@dataclass(frozen=True, slots=True, eq=False)
class _InPlane:
    """Where the slices lie in their plane, against the first one's first pixel, along rows' and columns' indices.

    start : (2,) mm, the grid's first pixel
    offsets : (D, 2) index offsets of the slices against the grid, all zero when the stack is straight
    """

    start: NDArray[np.float64]
    offsets: NDArray[np.float64]


def _in_plane(stack: SliceStack) -> tuple[_InPlane, tuple[str, ...]]:
    """The straight line or the tilted one that the slices' first pixels lie on, and what was done."""
    spacing = np.array(stack.pixel_spacing)
    shifts = (stack.positions - stack.positions[0]) @ np.stack([stack.column_cosine, stack.row_cosine], axis=1)
    straight = np.zeros_like(shifts)
    if np.abs(shifts / spacing).max() <= IN_PLANE_REMARK:
        return _InPlane(np.zeros(2), straight), _tag_without_tilt(stack)
    middle = np.median(shifts, axis=0)
    stray = _longest(shifts - middle)
    if stray <= IN_PLANE_TOLERANCE_MM:
        return _InPlane(middle, straight), (_stray_remark(stack, stray), *_tag_without_tilt(stack))
    distances = stack.distances - stack.distances[0]
    lines = np.linalg.lstsq(np.stack([distances, np.ones_like(distances)], axis=1), shifts, rcond=None)[0]
    tilted = np.outer(distances, lines[0])
    slope, stray = float(np.linalg.norm(lines[0])), _longest(shifts - tilted - lines[1])
    if slope > MAX_SHEAR or stray > IN_PLANE_TOLERANCE_MM:
        raise SeriesGeometryError(
            f"{stack.name}: slices are displaced in their plane by up to {_longest(shifts):.2f} mm, not in proportion "
            "to their distance; expected a straight or evenly tilted stack"
        )
    strays = (_stray_remark(stack, stray),) if stray > IN_PLANE_REMARK * spacing.min() else ()
    tilt = _tilt_remark(stack, _longest(tilted), math.degrees(math.atan(slope)))
    return _InPlane(lines[1], tilted / spacing), (tilt, *strays)


def _longest(vectors: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vectors, axis=1).max())


def _stray_remark(stack: SliceStack, stray_mm: float) -> str:
    return (
        f"{stack.name}: slices lie up to {stray_mm:.2f} mm beside one another in their plane; they are read as they are"
    )


def _tilt_remark(stack: SliceStack, shift_mm: float, degrees: float) -> str:
    tag = number_of(stack.slices[0].header, "GantryDetectorTilt")
    said = "GantryDetectorTilt is missing" if tag is None else f"GantryDetectorTilt says {tag:.1f}"
    return (
        f"{stack.name}: slices shift by {shift_mm:.2f} mm in their plane, a gantry tilt of {degrees:.1f} degrees "
        f"({said}); they were shifted back by linear interpolation, and masks onto them again"
    )


def _tag_without_tilt(stack: SliceStack) -> tuple[str, ...]:
    tag = number_of(stack.slices[0].header, "GantryDetectorTilt") or 0.0
    if abs(tag) < 0.1 or len(stack.slices) == 1:
        return ()
    return (
        f"{stack.name}: GantryDetectorTilt says {tag:.1f} degrees, but the slices lie straight above one another; "
        "their positions are used",
    )
