"""Slices put in order along their normal, with every claim about their place checked (PS3.3 C.7.6.2.1.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.study.header_values import number_of, numbers_of, text_of
from operators.dicom.volumes.slice_planes import orthonormal
from operators.dicom.volumes.slice_steps import SliceSteps
from operators.dicom.volumes.slices import Slice, VolumeCandidate
from operators.errors import SeriesGeometryError, UnsupportedPixelDataError

SAME_POSITION_MM = 0.05
"""Slices nearer than this are taken to lie at one position: a table that goes back for a repeat stops within some
hundredths of a millimetre, and the thinnest CT slices are 0.1 mm apart."""

EDGE_TOLERANCE_MM = 1.0
"""How far the far edge of a slice may lie from where the stack's orientation and pixel spacing put it: one pixel of a
CT of 500 mm. Motion correction turns every slice of a brain MR by some 1e-3; writers round cosines to 3 decimals and
PixelSpacing to 3 digits."""

ROUNDING_REMARK_MM = 0.05
"""Differences that move the far edge by less are rounding and not worth a remark."""

COSINE_TOLERANCE = 0.01
"""How far from unit length and from a right angle direction cosines may be: 2.5 mm at the edge of an image of 250 mm.
Writers that keep two decimals are off by as much; all slices of a stack are off alike."""

_MAX_MM = 1e5
_MIN_MM = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class SliceStack:
    """Slices in ascending order along the cross product of row and column direction cosines.

    name : what messages call it
    positions : (D, 3) float64, LPS mm of each slice's first pixel
    row_cosine, column_cosine : (3,) unit vectors, the ways column and row indices grow
    pixel_spacing : mm between rows, then between columns
    remarks : what a reader of the results should know about the slices' planes, in plain words
    """

    name: str
    slices: tuple[Slice, ...]
    positions: NDArray[np.float64]
    row_cosine: NDArray[np.float64]
    column_cosine: NDArray[np.float64]
    pixel_spacing: tuple[float, float]
    remarks: tuple[str, ...] = ()

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.row_cosine, self.column_cosine)

    @property
    def distances(self) -> NDArray[np.float64]:
        """(D,) mm along the normal, ascending."""
        return np.asarray(self.positions @ self.normal, np.float64)

    @property
    def steps(self) -> SliceSteps:
        return SliceSteps(self.distances, thicknesses(self.headers))

    @property
    def headers(self) -> tuple[Dataset, ...]:
        return tuple(plane.header for plane in self.slices)


def thicknesses(headers: Sequence[Dataset]) -> NDArray[np.float64]:
    """(D,) SliceThickness in mm, NaN where it is not given."""
    return np.array([number_of(header, "SliceThickness") or np.nan for header in headers], np.float64)


def stack_slices(candidate: VolumeCandidate) -> SliceStack:
    """Order the slices of one volume.

    Raises
    ------
    SeriesGeometryError
        For slices without a place and for those of several orientations, sizes or pixel spacings.
    """
    name = f"series {candidate.series_instance_uid}" + (f" ({candidate.label})" if candidate.label else "")
    if not candidate.slices:
        raise SeriesGeometryError(f"{name}: no slices")
    headers = [plane.header for plane in candidate.slices]
    _check_sizes(headers, name)
    positions = _vectors(headers, "ImagePositionPatient", 3, name)
    spacing, scaled = _pixel_spacing(headers, name)
    (row, column), turned = _orientation(headers, spacing, name)
    # Equal positions are ordered by what does not depend on file names, so that runs agree.
    keys = [(text_of(plane.header, "SOPInstanceUID"), plane.frame) for plane in candidate.slices]
    distances = positions @ np.cross(row, column)
    order = sorted(range(len(keys)), key=lambda k: (distances[k], keys[k]))
    slices = tuple(candidate.slices[k] for k in order)
    return SliceStack(name, slices, positions[order], row, column, spacing, (*turned, *scaled))


def without_duplicates(
    stack: SliceStack, same_values: Callable[[Slice, Slice], bool]
) -> tuple[SliceStack, tuple[str, ...]]:
    """One slice for each position, and what was dropped in plain words.

    same_values : tells whether two slices hold the same values

    Raises
    ------
    SeriesGeometryError
        When slices at one position differ: nothing here can tell which one is meant.
    """
    kept = [0]
    for k in range(1, len(stack.slices)):
        if np.linalg.norm(stack.positions[k] - stack.positions[kept[-1]]) > SAME_POSITION_MM:
            kept.append(k)
        elif not same_values(stack.slices[kept[-1]], stack.slices[k]):
            raise SeriesGeometryError(
                f"{stack.name}: two slices lie at the same position but hold different pixels, expected one slice for "
                f"each position; {len(stack.slices)} slices were given"
            )
    dropped = len(stack.slices) - len(kept)
    if not dropped:
        return stack, ()
    slices = tuple(stack.slices[k] for k in kept)
    remark = f"{stack.name}: {dropped} slices that repeat another's position and pixels were left out"
    return replace(stack, slices=slices, positions=stack.positions[kept]), (remark,)


def single_slice_step(stack: SliceStack) -> float:
    """mm that a slice stands for when it has no neighbour.

    Raises
    ------
    SeriesGeometryError
        When the header names neither a spacing nor a thickness.
    """
    header = stack.slices[0].header
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        step = abs(number_of(header, keyword) or 0.0)
        if _MIN_MM <= step <= _MAX_MM:
            return step
    raise SeriesGeometryError(
        f"{stack.name}: a single slice needs SpacingBetweenSlices or SliceThickness, expected a positive one"
    )


def _check_sizes(headers: Sequence[Dataset], name: str) -> None:
    for keyword in ("Rows", "Columns"):
        found = {number_of(header, keyword) for header in headers}
        if len(found) > 1:
            raise SeriesGeometryError(f"{name}: slices differ in {keyword}, expected one, found {len(found)}")
    if len({text_of(header, "PhotometricInterpretation") for header in headers}) > 1:
        raise UnsupportedPixelDataError(f"{name}: slices differ in PhotometricInterpretation, expected one")


def _vectors(headers: Sequence[Dataset], keyword: str, length: int, name: str) -> NDArray[np.float64]:
    """(D, length) finite numbers."""
    vectors = [numbers_of(header, keyword) for header in headers]
    unfit = sum(len(vector) != length or max(map(abs, vector)) > _MAX_MM for vector in vectors)
    if unfit:
        raise SeriesGeometryError(
            f"{name}: {unfit} of {len(vectors)} slices without a plausible {keyword}, expected {length} numbers"
        )
    return np.array(vectors, np.float64)


def _orientation(
    headers: Sequence[Dataset], spacing: tuple[float, float], name: str
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[str, ...]]:
    """The cosines in the middle of all slices', as unit vectors at right angles, and what was neglected."""
    cosines = _vectors(headers, "ImageOrientationPatient", 6, name)
    middle = np.median(cosines, axis=0)
    spread = float(np.abs(cosines - cosines[0]).max())
    height, width = size_mm(headers[0], spacing)
    away = np.linalg.norm((cosines - middle).reshape(-1, 2, 3), axis=2) * [width, height]
    off_mm = float(away.max())
    if off_mm > EDGE_TOLERANCE_MM:
        raise SeriesGeometryError(
            f"{name}: slices point in several directions, cosines differ by {spread:.4f}, which is {off_mm:.2f} mm at "
            f"the image's edge; expected one direction to {EDGE_TOLERANCE_MM:g} mm"
        )
    row, column = middle.reshape(2, 3)
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > COSINE_TOLERANCE or abs(row @ column) > COSINE_TOLERANCE:
        raise SeriesGeometryError(
            f"{name}: ImageOrientationPatient must be two unit vectors at right angles, got lengths {lengths[0]:.4f} "
            f"and {lengths[1]:.4f}, product {row @ column:.4f}"
        )
    remark = (
        f"{name}: the slices' direction cosines differ by up to {spread:.4f}, {off_mm:.2f} mm at the image's edge; "
        "the slices are read as if parallel"
    )
    return orthonormal(middle), (remark,) if off_mm > ROUNDING_REMARK_MM else ()


def _pixel_spacing(headers: Sequence[Dataset], name: str) -> tuple[tuple[float, float], tuple[str, ...]]:
    """The spacings in the middle of all slices', and what was neglected."""
    spacings = _vectors(headers, "PixelSpacing", 2, name)
    lowest, highest = spacings.min(axis=0), spacings.max(axis=0)
    if lowest.min() < _MIN_MM:
        raise SeriesGeometryError(
            f"{name}: PixelSpacing must be positive and plausible, at least {_MIN_MM:g} mm, got {lowest.min():g} mm"
        )
    between_rows, between_columns = np.median(spacings, axis=0).tolist()
    off_mm = max(size_mm(headers[0], (highest - lowest).tolist()))
    if off_mm > EDGE_TOLERANCE_MM:
        raise SeriesGeometryError(
            f"{name}: slices differ in PixelSpacing, expected one, found {lowest.tolist()} to {highest.tolist()} mm"
        )
    remark = (
        f"{name}: the slices' PixelSpacing differs by up to {(highest - lowest).max():.2g} mm, {off_mm:.2f} mm at the "
        "image's edge; the slices are read as if equal"
    )
    # Between rows first, then between columns (PS3.3 10.7.1.3).
    return (between_rows, between_columns), (remark,) if off_mm > ROUNDING_REMARK_MM else ()


def size_mm(header: Dataset, spacing: Sequence[float]) -> tuple[float, float]:
    """Height and width of the image at this spacing between rows and between columns."""
    return (number_of(header, "Rows") or 0.0) * spacing[0], (number_of(header, "Columns") or 0.0) * spacing[1]
