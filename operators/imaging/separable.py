"""Linear maps of a volume that act on each axis by itself, as weights in a band around the diagonal; on NumPy."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Outputs that are computed together. A block's matrix product is dense, so a small block follows the band closely;
and the product of such a block with a row of 512 pixels stays under the size where OpenBLAS starts threads of its own,
which would fight with ours."""

NEGLIGIBLE = 1e-7
"""Weights under this are left out; a cubic spline's influence decays by 0.27 from voxel to voxel and never ends."""


@dataclass(frozen=True, slots=True, eq=False)
class BandBlock:
    """Some rows of a banded matrix.

    outputs, inputs : what the block makes and what it needs for it
    weights : (outputs, inputs) float32
    """

    outputs: slice
    inputs: slice
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class AxisMap:
    """(target, source) weights of one axis, cut into blocks."""

    target: int
    source: int
    blocks: tuple[BandBlock, ...]


def build_axis_map(weights: NDArray[np.float64]) -> AxisMap:
    """The map of (target, source) weights."""
    target, source = weights.shape
    starts = range(0, target, BLOCK)
    return AxisMap(target, source, tuple(_band_block(weights[start : start + BLOCK], start) for start in starts))


def _band_block(weights: NDArray[np.float64], start: int) -> BandBlock:
    used = np.flatnonzero((np.abs(weights) > NEGLIGIBLE).any(axis=0))
    inputs = slice(int(used[0]), int(used[-1]) + 1)
    band = np.ascontiguousarray(weights[:, inputs], dtype=np.float32)
    return BandBlock(slice(start, start + len(weights)), inputs, band)


def map_axes(array: NDArray[Any], slices: AxisMap, rows: AxisMap, columns: AxisMap) -> NDArray[np.float32]:
    """(D, H, W) of any number type to (slices.target, rows.target, columns.target) float32.

    What makes less of the volume goes first, the slice axis or the planes. Temporary arrays are a few slices for each
    thread, or the source's slices at the target's size.
    """
    out = np.empty((slices.target, rows.target, columns.target), np.float32)
    if slices.target * rows.source * columns.source <= slices.source * rows.target * columns.target:
        _map_slices_first(array, slices, rows, columns, out)
    else:
        _map_planes_first(array, slices, rows, columns, out)
    return out


def _map_slices_first(
    array: NDArray[Any], slices: AxisMap, rows: AxisMap, columns: AxisMap, out: NDArray[np.float32]
) -> None:
    def work(block: BandBlock) -> None:
        mixed = np.empty((len(block.weights), rows.source, columns.source), np.float32)
        _mix_slices(np.ascontiguousarray(array[block.inputs], dtype=np.float32), block, mixed)
        for plane, target in zip(mixed, out[block.outputs], strict=True):
            _map_plane(plane, rows, columns, target)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, slices.blocks))


def _map_planes_first(
    array: NDArray[Any], slices: AxisMap, rows: AxisMap, columns: AxisMap, out: NDArray[np.float32]
) -> None:
    between = np.empty((slices.source, rows.target, columns.target), np.float32)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda plane, target: _map_plane(plane, rows, columns, target), array, between))
        list(pool.map(lambda block: _mix_slices(between[block.inputs], block, out[block.outputs]), slices.blocks))


def _mix_slices(needed: NDArray[np.float32], block: BandBlock, out: NDArray[np.float32]) -> None:
    """(inputs, H, W) to (outputs, H, W), one row of pixels after the other, which stays in the cache."""
    np.matmul(block.weights, needed.swapaxes(0, 1), out=out.swapaxes(0, 1))


def _map_plane(plane: NDArray[Any], rows: AxisMap, columns: AxisMap, out: NDArray[np.float32]) -> None:
    """(H, W) to (rows.target, columns.target)."""
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    between = np.empty((rows.target, columns.source), np.float32)
    for block in rows.blocks:
        np.matmul(block.weights, plane[block.inputs], out=between[block.outputs])
    for block in columns.blocks:
        np.matmul(between[:, block.inputs], block.weights.T, out=out[:, block.outputs])
