"""An image on isotropic lattices around the body, from coarse to fine."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from operators.domain.bounding_box import bounding_box
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample
from operators.registration.body import body_mask, normalised

SURVEY_POINTS = 400_000
"""Points of the lattice on which the body is looked for."""
MARGIN_MM = 15.0
FEATURE_REACH = 2
"""Voxels of the lattice around a point that decide on its features, for the most part."""
MULTIPLE = 4
"""Sizes of a lattice are multiples of this, so that coarser ones fit on it edge to edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The whole of an image, coarsely.

    image : in 0..1
    box : the body and a margin, cut out of the image's grid; one voxel thick for a single slice
    """

    source: Volume
    modality: str
    body: Volume
    box: Geometry

    @property
    def is_flat(self) -> bool:
        return self.source.geometry.shape[0] == 1


def survey(volume: Volume, modality: str) -> Survey:
    """Where the body lies in the volume."""
    coarse = lattice_geometry(volume.geometry, SURVEY_POINTS)
    image = normalised(drawn(volume, coarse), modality)
    mask = body_mask(image, modality)
    return Survey(volume, modality, Volume(mask, coarse), _boxed(volume.geometry, coarse, mask))


def lattice_geometry(box: Geometry, points: int, finest_mm: float = 0.0) -> Geometry:
    """An isotropic lattice of at most about so many points over the box, no finer than its own finest spacing."""
    extents = box.spacing * np.array(box.shape)
    axes = [k for k in range(3) if box.shape[k] > 1]
    spacing = (np.prod(extents[axes]) / points) ** (1 / max(len(axes), 1))
    spacing = max(spacing, finest_mm, float(box.spacing[axes].min()) if axes else 0.0)
    shape = [1, 1, 1]
    for k in axes:
        shape[k] = MULTIPLE * max(1, int(np.ceil(extents[k] / spacing / MULTIPLE)))
    steps = np.array([spacing / box.spacing[k] if k in axes else 1.0 for k in range(3)])
    first = (np.array(box.shape) - 1) / 2 - steps * (np.array(shape) - 1) / 2
    return box.sampled(first, steps, (shape[0], shape[1], shape[2]))


def drawn(volume: Volume, lattice: Geometry) -> NDArray[np.float32]:
    """The volume's values on a lattice of the same axes, means over what a coarser voxel covers."""
    factors = [
        max(1, int(step / own + 1e-3)) for step, own in zip(lattice.spacing, volume.geometry.spacing, strict=True)
    ]
    return np.asarray(resample(_block_means(volume, factors), lattice, order=1).array, np.float32)


def known_points(source: Geometry, lattice: Geometry, device: torch.device) -> torch.Tensor:
    """(1, D, H, W) 1 where the lattice's points and their neighbours, which features look at, lie within the source."""
    indices = source.indices(lattice.positions(np.moveaxis(np.indices(lattice.shape), 0, -1)))
    reach = FEATURE_REACH * lattice.spacing / source.spacing * (np.array(source.shape) > 1)
    within = np.all((indices >= reach - 0.5) & (indices <= np.array(source.shape) - 0.5 - reach), axis=-1)
    return torch.from_numpy(np.asarray(within, np.float32)[None]).to(device)


def tensor(array: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _block_means(volume: Volume, factors: list[int]) -> Volume:
    factors = [min(factor, size) for factor, size in zip(factors, volume.geometry.shape, strict=True)]
    if max(factors) == 1:
        return volume
    shape = [size // factor for size, factor in zip(volume.geometry.shape, factors, strict=True)]
    array = volume.array[tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))]
    for axis in range(3):
        sizes = [*array.shape[:axis], shape[axis], factors[axis], *array.shape[axis + 1 :]]
        array = array.reshape(sizes).mean(axis=axis + 1, dtype=np.float32)
    middle = (np.array(factors) - 1) / 2
    return Volume(array, volume.geometry.sampled(middle, factors, (shape[0], shape[1], shape[2])))


def _boxed(grid: Geometry, coarse: Geometry, mask: NDArray[np.bool_]) -> Geometry:
    """The part of *grid* that the mask's box covers, with a margin."""
    box = bounding_box(mask)
    low = grid.indices(coarse.positions(np.array([side.start - 0.5 for side in box])))
    high = grid.indices(coarse.positions(np.array([side.stop - 0.5 for side in box])))
    margin = MARGIN_MM / grid.spacing
    start = np.clip(np.floor(low - margin), 0, np.array(grid.shape) - 1).astype(int)
    stop = np.clip(np.ceil(high + margin) + 1, start + 1, grid.shape).astype(int)
    first, last = ((int(at[0]), int(at[1]), int(at[2])) for at in (start, stop))
    return grid.cropped(first, last)
