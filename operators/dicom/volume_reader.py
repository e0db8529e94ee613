"""Slices to one volume, or an error that says with numbers why not. Nothing is interpolated, dropped or guessed."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from operators.dicom.source_series import SourceSeries
from operators.dicom.study_index import Instance, SeriesIndex
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.errors import SeriesGeometryError, UnsupportedPixelDataError

POSITION_TOLERANCE = 0.01
"""How far a slice may lie off the regular grid, as a share of the slice spacing (highdicom's value)."""

ORIENTATION_TOLERANCE = 1e-4
"""How far direction cosines of two slices may differ; scanners write 6 digits or more."""

IN_PLANE_TOLERANCE = 1e-3
"""In-plane shift for each mm along the normal; more is gantry tilt."""

_SAME_IN_ALL = ("Rows", "Columns", "PixelSpacing", "PhotometricInterpretation", "SamplesPerPixel")


def read_series(series: SeriesIndex, *, role: str) -> SourceSeries:
    """Read the pixels of one series onto its regular grid.

    Raises
    ------
    SeriesGeometryError
        For different matrices or orientations, duplicate, missing or unevenly spaced slices, and gantry tilt.
    UnsupportedPixelDataError
        For pixels that are missing, cut short or not decodable.
    """
    _check_alike(series)
    instances, geometry = _sorted_on_grid(series)
    headers, remarks = _in_one_frame(instances, series.series_instance_uid)
    array = np.empty(geometry.shape, np.float32)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda k: _read_slice(instances[k], array[k], series), range(len(instances))))
    uids = [str(instance.header.SOPInstanceUID) for instance in instances]
    lines = "\n".join(sorted(f"{uid} {digest}" for uid, digest in zip(uids, digests, strict=True)))
    return SourceSeries(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        role=role,
        volume=Volume(array, geometry),
        headers=headers,
        digest=hashlib.sha256(lines.encode()).hexdigest(),
        remarks=remarks,
    )


def _in_one_frame(instances: tuple[Instance, ...], uid: str) -> tuple[tuple[Dataset, ...], tuple[str, ...]]:
    """Headers that agree on the frame of reference.

    Some de-identification gives every slice a frame of its own (all of TCIA's LIDC-IDRI). Slices on one regular grid
    that *all* differ are taken for such a series and get the first slice's; two or a few frames are refused.
    """
    headers = tuple(instance.header for instance in instances)
    frames = {str(header.get("FrameOfReferenceUID") or "") for header in headers}
    if len(frames) == 1:
        return headers, ()
    if len(frames) < len(headers):
        raise SeriesGeometryError(f"series {uid}: expected one frame of reference, found {len(frames)}")
    return tuple(_with_frame(header, str(headers[0].FrameOfReferenceUID)) for header in headers), (
        f"series {uid}: every slice names a frame of reference of its own; the first slice's is used for all",
    )


def _with_frame(header: Dataset, frame_of_reference_uid: str) -> Dataset:
    # pydicom's own shallow copy shares its elements with the original, which must stay as it was read.
    adjusted = Dataset()
    adjusted.update(header)
    adjusted.file_meta = header.file_meta
    adjusted.add_new("FrameOfReferenceUID", "UI", frame_of_reference_uid)
    return adjusted


def _check_alike(series: SeriesIndex) -> None:
    for keyword in _SAME_IN_ALL:
        values = {str(header.get(keyword)) for header in series.headers}
        if len(values) > 1:
            raise SeriesGeometryError(f"series {series.series_instance_uid}: slices differ in {keyword}, expected one")
    interpretation = series.headers[0].get("PhotometricInterpretation")
    if interpretation != "MONOCHROME2":
        raise UnsupportedPixelDataError(
            f"series {series.series_instance_uid}: expected PhotometricInterpretation MONOCHROME2, got {interpretation}"
        )


def _sorted_on_grid(series: SeriesIndex) -> tuple[tuple[Instance, ...], Geometry]:
    """Slices in ascending order along the normal, and the grid they lie on (PS3.3 C.7.6.2.1.1)."""
    row_cosine, column_cosine = _orientation(series)
    normal = np.cross(row_cosine, column_cosine)
    positions = np.array([header.ImagePositionPatient for header in series.headers], np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    step = _regular_step(positions, normal, series.series_instance_uid)
    # PixelSpacing holds the distance between rows first, then between columns (PS3.3 10.7.1.3).
    row_spacing, column_spacing = (float(value) for value in series.headers[0].PixelSpacing)
    if min(row_spacing, column_spacing) <= 0:
        raise SeriesGeometryError(
            f"series {series.series_instance_uid}: PixelSpacing must be positive, got {row_spacing}"
        )
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    affine[:3, 1] = column_cosine * row_spacing
    affine[:3, 2] = row_cosine * column_spacing
    affine[:3, 3] = positions[0]
    header = series.headers[order[0]]
    shape = (len(order), int(header.Rows), int(header.Columns))
    geometry = Geometry(affine, shape, str(header.get("FrameOfReferenceUID") or ""))
    return tuple(series.instances[k] for k in order), geometry


def _orientation(series: SeriesIndex) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cosines = np.array([header.ImageOrientationPatient for header in series.headers], np.float64)
    spread = float(np.abs(cosines - cosines[0]).max())
    if spread > ORIENTATION_TOLERANCE:
        raise SeriesGeometryError(
            f"series {series.series_instance_uid}: slices point in several directions, cosines differ by {spread:.4f}"
        )
    row, column = cosines[0].reshape(2, 3)
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > 1e-3 or abs(row @ column) > 1e-3:
        raise SeriesGeometryError(f"series {series.series_instance_uid}: ImageOrientationPatient is not orthonormal")
    return row / lengths[0], column / lengths[1]


def _regular_step(positions: NDArray[np.float64], normal: NDArray[np.float64], uid: str) -> float:
    """mm between neighbouring slices, all equal and straight along the normal."""
    steps = np.diff(positions @ normal)
    step = float(np.median(steps))
    if steps.min() < POSITION_TOLERANCE * max(step, 1e-3):
        raise SeriesGeometryError(f"series {uid}: two slices lie at the same position; expected one slice for each")
    if np.abs(steps - step).max() > POSITION_TOLERANCE * step:
        raise SeriesGeometryError(
            f"series {uid}: slices are {steps.min():.3f} to {steps.max():.3f} mm apart, expected {step:.3f} mm "
            "throughout; a slice is missing or the spacing changes"
        )
    shift = positions - positions[0]
    in_plane = np.linalg.norm(shift - np.outer(shift @ normal, normal), axis=1).max()
    if in_plane > IN_PLANE_TOLERANCE * step * len(positions):
        raise SeriesGeometryError(
            f"series {uid}: slices shift by {in_plane:.2f} mm in their plane (gantry tilt), expected a straight stack"
        )
    return step


def _read_slice(instance: Instance, target: NDArray[np.float32], series: SeriesIndex) -> str:
    """Decode one slice into *target* as HU or scanner units; the SHA-256 of its stored pixel data."""
    if not instance.has_pixel_data:
        raise UnsupportedPixelDataError(
            f"series {series.series_instance_uid}: a slice has no pixel data, was it cut short?"
        )
    try:
        dataset = pydicom.dcmread(instance.path)
        pixels = dataset.pixel_array
    except (ValueError, RuntimeError, AttributeError, EOFError, NotImplementedError, OSError, IndexError) as error:
        syntax = instance.header.file_meta.TransferSyntaxUID
        raise UnsupportedPixelDataError(
            f"series {series.series_instance_uid}: pixels in {syntax.name} cannot be decoded; the file is cut short "
            "or the encoding is not supported"
        ) from error
    if pixels.shape != target.shape:
        raise UnsupportedPixelDataError(
            f"series {series.series_instance_uid}: expected {target.shape} pixels in a slice, got {pixels.shape}"
        )
    slope, intercept = _rescale(dataset)
    np.multiply(pixels, np.float32(slope), out=target, casting="unsafe")
    target += np.float32(intercept)
    return hashlib.sha256(dataset.PixelData).hexdigest()


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept of this very slice; they may change from slice to slice."""
    slope: Any = dataset.get("RescaleSlope")
    intercept: Any = dataset.get("RescaleIntercept")
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))
