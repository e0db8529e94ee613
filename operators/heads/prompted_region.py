"""A region cut from a similarity map: what hangs together with the places that were pointed at."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.domain.bounding_box import bounding_box
from operators.domain.components import components_at
from operators.domain.geometry import Geometry, Index
from operators.domain.volume import Volume
from operators.heads.evidence import above


def region_at(
    similarity: Volume, threshold: float, seeds: Sequence[Index], source: Geometry
) -> tuple[Index, NDArray[np.bool_]] | None:
    """Where the interpolated similarity lies above *threshold*, in one piece (by faces) with a seed's token.

    seeds : indices of tokens
    source : the grid that the region is drawn on

    Returns the first index of the smallest box that holds the region, and the region within it; None where nothing at
    the seeds is above the threshold.
    """
    box = _reach(similarity, threshold, source)
    if box is None:
        return None
    start, stop = box
    part = source.cropped(start, stop)
    tokens = [_token_box(similarity.geometry, seed, part) for seed in seeds]
    region = components_at(above(similarity, threshold, part), tokens)
    if not region.any():
        return None
    first, last = _extent(region)
    inside = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    return (start[0] + first[0], start[1] + first[1], start[2] + first[2]), region[inside]


def _reach(similarity: Volume, threshold: float, source: Geometry) -> tuple[Index, Index] | None:
    """The box of the source's grid beyond which nothing can be above the threshold: a token's influence ends at the
    next one.
    """
    high = np.asarray(similarity.array > threshold)
    if not high.any():
        return None
    first, last = _extent(high)
    edges, size = np.stack([np.array(first) - 1.0, np.array(last, float)]), np.array(high.shape)
    # Beyond the outermost tokens their value goes on to the end of the source.
    edges[0][edges[0] < 0] -= size[edges[0] < 0]
    edges[1][edges[1] == size] += size[edges[1] == size]
    corners = np.stack(np.meshgrid(*edges.T, indexing="ij"), axis=-1).reshape(-1, 3)
    reached = source.indices(similarity.geometry.positions(corners))
    start = np.clip(np.floor(reached.min(axis=0)), 0, np.array(source.shape) - 1).astype(int)
    stop = np.clip(np.ceil(reached.max(axis=0)) + 1, start + 1, source.shape).astype(int)
    return (int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2]))


def _token_box(tokens: Geometry, seed: Index, part: Geometry) -> tuple[slice, ...]:
    """The voxels of one token; its centre's voxel where none has its centre in the token."""
    corners = np.stack(np.meshgrid(*([k - 0.5, k + 0.5] for k in seed), indexing="ij"), axis=-1).reshape(-1, 3)
    reached = part.indices(tokens.positions(corners))
    low, high = np.ceil(reached.min(axis=0)).astype(int), np.floor(reached.max(axis=0)).astype(int) + 1
    centre = np.rint(part.indices(tokens.positions(np.array(seed)))).astype(int)
    empty = high <= low
    low, high = np.where(empty, centre, low), np.where(empty, centre + 1, high)
    return tuple(slice(max(int(a), 0), max(int(b), 0)) for a, b in zip(low, high, strict=True))


def _extent(mask: NDArray[np.bool_]) -> tuple[Index, Index]:
    """First index of a mask along each axis, and one after the last."""
    depth, rows, columns = bounding_box(mask)
    return (depth.start, rows.start, columns.start), (depth.stop, rows.stop, columns.stop)
