"""What a mask measures: its volume and, where it shows a lesion, its diameters.

Diameters run between the outer corners of voxels, where the report draws the outline, so that a single voxel is as
long as its diagonal. They never are shorter than the true ones, and longer by a voxel's diagonal at most.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist, pdist

from operators.domain.concepts import LONG_AXIS, MAXIMUM_3D_DIAMETER, MILLILITRE, MILLIMETRE, SHORT_AXIS, VOLUME, Code
from operators.domain.geometry import Geometry
from operators.domain.measurement import Measurement
from operators.domain.segment import PriorSegment, SeriesSegments, key_slice

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def measure(segments: SeriesSegments) -> tuple[Measurement, ...]:
    """The volume of each segment, and the diameters of those that localise a finding."""
    return tuple(
        Measurement(
            name=f"{segment.label} {name}",
            code=code,
            value=value,
            unit=unit,
            series_instance_uid=segments.series_instance_uid,
            segment_number=segment.number,
            tracking_uid=segment.tracking_uid,
        )
        for segment in segments.segments
        for name, code, value, unit in _measures(
            segment.mask, segments.geometry, with_diameters=segment.finding is not None
        )
    )


def measure_prior(segment: PriorSegment, series_instance_uid: str) -> tuple[Measurement, ...]:
    """What is measured of something on an earlier image: it has no number in a SEG of ours.

    series_instance_uid : of the earlier series
    """
    return tuple(
        Measurement(f"{segment.label} {name}", code, value, unit, series_instance_uid, None, segment.tracking_uid)
        for name, code, value, unit in _measures(segment.mask, segment.geometry, with_diameters=segment.is_lesion)
    )


def volume_ml(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    return float(np.count_nonzero(mask)) * geometry.voxel_volume_ml


def slice_axes_mm(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[float, float]:
    """Longest diameter of a (H, W) mask and the longest one across it, at right angles (both of its convex hull).

    spacing : (2,) mm between rows, between columns
    """
    hull = _hull(_outer_corners(mask) * spacing)
    distances = cdist(hull, hull)
    start, end = divmod(int(np.argmax(distances)), len(hull))
    long = float(distances[start, end])
    turned, end = np.roll(hull, -start, axis=0), (end - start) % len(hull)
    along = (turned[end] - turned[0]) / long
    coordinates = (turned - turned[0]) @ np.array([along, [-along[1], along[0]]]).T
    # Both ways round from one end to the other rise along the axis, and the widest place is at a vertex.
    there, back = coordinates[: end + 1], np.vstack([coordinates[:1], coordinates[: end - 1 : -1]])
    places = coordinates[:, 0]
    return long, float(np.abs(np.interp(places, *there.T) - np.interp(places, *back.T)).max())


def longest_diameter_mm(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Longest distance between two points of a (D, H, W) mask (IBSI L0JK, the mesh being the voxels' faces)."""
    corners = []
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        outline = _hull(_outer_corners(mask[index]))
        corners += [np.insert(outline, 0, edge, axis=1) for edge in (index, index + 1)]
    points = np.vstack(corners) @ geometry.affine[:3, :3].T
    return float(pdist(_hull(points)).max())


def _measures(
    mask: NDArray[np.bool_], geometry: Geometry, *, with_diameters: bool
) -> Iterator[tuple[str, Code, float, Code]]:
    yield "volume", VOLUME, volume_ml(mask, geometry), MILLILITRE
    if with_diameters:
        long, short = slice_axes_mm(mask[key_slice(mask)], geometry.spacing[1:])
        yield "long axis on its key slice", LONG_AXIS, long, MILLIMETRE
        yield "short axis on its key slice", SHORT_AXIS, short, MILLIMETRE
        yield "longest diameter", MAXIMUM_3D_DIAMETER, longest_diameter_mm(mask, geometry), MILLIMETRE


def _outer_corners(mask: NDArray[np.bool_]) -> NDArray[np.int_]:
    """(N, 2) corners of the first and the last pixel of each row: what a convex hull can stand on."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    pixels = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    return np.asarray((pixels[:, None] + _CORNERS).reshape(-1, 2))


def _hull(points: NDArray[np.floating] | NDArray[np.int_]) -> NDArray[np.float64]:
    """The corners of the convex hull; in a plane, in order."""
    return np.asarray(points[ConvexHull(points).vertices], np.float64)
