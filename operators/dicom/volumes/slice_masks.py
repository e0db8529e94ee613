"""Masks on a volume's grid back on the source's own slices, and what the volume shows there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.bounding_box import bounding_box
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment, SeriesSegments

Box = tuple[slice, slice, slice]
Floats = NDArray[np.float32]

_EDGE = 0.5
"""A voxel reaches half of its size beyond its centre, the outermost ones too."""


def on_slices(segments: SeriesSegments, source: SourceSeries) -> SeriesSegments:
    """The segments with masks of shape (slices, rows, columns), one plane for each source slice, in their order.

    Where the volume was resampled a mask is interpolated linearly in each slice's own plane and cut at one half. One so
    thin that it falls between two slices is drawn on the nearer one, so that no segment gets lost. Otherwise the masks
    are the same objects.
    """
    if not source.is_resampled:
        return segments
    planes = source.slice_planes
    drawn = tuple(_drawn(segment, segments.geometry, planes) for segment in segments.segments)
    return replace(segments, segments=drawn)


def on_plane(mask: NDArray[np.bool_], geometry: Geometry, plane: Geometry) -> NDArray[np.bool_]:
    """(rows, columns) of a mask in the plane of one slice; nothing where it falls between two.

    geometry : of the mask
    """
    drawn: NDArray[np.bool_] = _each_plane(mask, geometry, (plane,), lambda values: values >= _EDGE, np.bool_)[0]
    return drawn


def values_on_slice(source: SourceSeries, k: int) -> Floats:
    """(rows, columns) float32: what the volume shows in the plane of a source slice."""
    if not source.is_resampled:
        return np.asarray(source.volume.array[k], np.float32)
    whole = tuple(slice(0, size) for size in source.volume.geometry.shape)
    plane = source.slice_planes[k]
    rows, columns = (slice(0, size) for size in plane.shape[1:])
    indices = _volume_indices(plane, source.volume.geometry, rows, columns)
    return _interpolated(source.volume.array, (whole[0], whole[1], whole[2]), indices)


def _drawn(segment: Segment, geometry: Geometry, planes: tuple[Geometry, ...]) -> Segment:
    mask = _each_plane(segment.mask, geometry, planes, lambda values: values >= _EDGE, np.bool_)
    if not mask.any():
        mask = _on_nearest_plane(segment, geometry, planes)
    if segment.probability is None:
        return replace(segment, mask=mask)
    probability = _each_plane(segment.probability, geometry, planes, np.rint, np.uint8)
    return replace(segment, mask=mask, probability=probability)


def _each_plane(
    array: Any, geometry: Geometry, planes: tuple[Geometry, ...], cast: Callable[[Floats], NDArray[Any]], dtype: Any
) -> NDArray[Any]:
    drawn = np.zeros((len(planes), *planes[0].shape[1:]), dtype)
    box = _box(array)
    for target, plane in zip(drawn, planes, strict=True):
        rows, columns = _reached(box, geometry, plane)
        indices = _volume_indices(plane, geometry, rows, columns)
        if indices.size:
            target[rows, columns] = cast(_interpolated(array, box, indices))
    return drawn


def _on_nearest_plane(segment: Segment, geometry: Geometry, planes: tuple[Geometry, ...]) -> NDArray[np.bool_]:
    key = segment.key_slice
    depths = [float(geometry.indices(plane.positions(np.zeros(3)))[0]) for plane in planes]
    nearest = int(np.argmin(np.abs(np.array(depths) - key)))
    drawn = np.zeros((len(planes), *planes[0].shape[1:]), np.bool_)
    rows, columns = (slice(0, size) for size in drawn.shape[1:])
    indices = _volume_indices(planes[nearest], geometry, rows, columns)
    indices[0] = key
    drawn[nearest] = _interpolated(segment.mask, _box(segment.mask), indices) >= _EDGE
    return drawn


def _box(array: Any) -> Box:
    """What is not zero, and a voxel of what is round it."""
    depth, rows, columns = bounding_box(array, margin=1)
    return depth, rows, columns


def _reached(box: Box, geometry: Geometry, plane: Geometry) -> tuple[slice, slice]:
    """Rows and columns of a slice that a box of the volume can touch; none where it lies before or behind it."""
    nothing = (slice(0, 0), slice(0, 0))
    if any(side.stop <= side.start for side in box):
        return nothing
    corners = np.array(np.meshgrid(*((side.start - _EDGE, side.stop - 1 + _EDGE) for side in box))).reshape(3, -1).T
    depths, rows, columns = plane.indices(geometry.positions(corners)).T
    if depths.min() > 0 or depths.max() < 0:
        return nothing
    spans = [
        slice(max(int(np.floor(along.min())), 0), min(int(np.ceil(along.max())) + 1, size))
        for along, size in zip((rows, columns), plane.shape[1:], strict=True)
    ]
    return spans[0], spans[1]


def _volume_indices(plane: Geometry, geometry: Geometry, rows: slice, columns: slice) -> NDArray[np.float64]:
    """(3, rows, columns): where the pixels of a slice lie in the volume's index coordinates."""
    row, column = np.mgrid[rows, columns]
    pixels = np.stack([np.zeros_like(row), row, column], axis=-1)
    return np.moveaxis(geometry.indices(plane.positions(pixels)), -1, 0)


def _interpolated(array: Any, box: Box, indices: NDArray[np.float64]) -> Floats:
    """Linear inside the box's voxels, 0 beyond them."""
    part = np.asarray(array[box], np.float32)
    inside = indices - np.array([side.start for side in box])[:, None, None]
    last = np.array(part.shape)[:, None, None] - 1
    found = ndimage.map_coordinates(part, inside, output=np.float32, order=1, mode="nearest", prefilter=False)
    return np.where(((inside >= -_EDGE) & (inside <= last + _EDGE)).all(axis=0), found, np.float32(0))
