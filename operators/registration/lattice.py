"""Tensors on a regular lattice: values between its points, pooling, box means.

Tensors are (C, D, H, W); places and displacements are (3, ...) in steps of the lattice along slice, row and column.
An axis of one point has no neighbours: nothing is pooled, smoothed or moved along it.
"""

import torch
from torch import Tensor
from torch.nn import functional


def identity_places(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """(3, D, H, W) the index of each point."""
    axes = [torch.arange(size, dtype=torch.float32, device=device) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def sample(values: Tensor, places: Tensor) -> Tensor:
    """(C, D, H, W) values at (3, ...) places to (C, ...), trilinear; beyond the border the edge's value."""
    scale = [2.0 / (size - 1) if size > 1 else 0.0 for size in values.shape[1:]]
    # grid_sample wants (column, row, slice) in -1..1.
    normalised = torch.stack([places[k] * scale[k] - (1.0 if scale[k] else 0.0) for k in (2, 1, 0)], dim=-1)
    grid = normalised.reshape(1, 1, 1, -1, 3) if places.dim() != 4 else normalised[None]
    found = functional.grid_sample(values[None], grid, mode="bilinear", padding_mode="border", align_corners=True)
    return found.reshape(len(values), *places.shape[1:])


def inside(places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(...) whether each place lies within half a step of the lattice."""
    within = [(places[k] >= -0.5) & (places[k] <= size - 0.5) for k, size in enumerate(shape)]
    return within[0] & within[1] & within[2]


def pooled(values: Tensor, factor: int) -> Tensor:
    """Means over blocks of *factor* points a side; what does not fill a block at the end goes with the last."""
    if factor == 1:
        return values
    sizes = [min(factor, size) for size in values.shape[1:]]
    return functional.avg_pool3d(values[None], sizes, ceil_mode=True, count_include_pad=False)[0]


def refined(displacements: Tensor, factor: float, shape: tuple[int, ...]) -> Tensor:
    """Displacements on a lattice *factor* times as fine, of *shape*, in its steps; both begin at one edge."""
    factors = [factor if size > 1 else 1.0 for size in shape]
    axes = [
        (torch.arange(size, dtype=torch.float32, device=displacements.device) + 0.5) / step - 0.5
        for size, step in zip(shape, factors, strict=True)
    ]
    return sample(displacements, torch.stack(torch.meshgrid(*axes, indexing="ij"))) * factor


def binomial_mean(values: Tensor) -> Tensor:
    """Weights 1, 2, 1 along each axis, edges repeated: noise goes, edges stay."""
    for axis in (1, 2, 3):
        size = values.shape[axis]
        if size > 1:
            padded = torch.cat([values.narrow(axis, 0, 1), values, values.narrow(axis, size - 1, 1)], dim=axis)
            values = (padded.narrow(axis, 0, size) + 2 * values + padded.narrow(axis, 2, size)) / 4
    return values


def box_mean(values: Tensor, radius: int = 1, passes: int = 1) -> Tensor:
    """Mean over the cube of *radius*, edges repeated, *passes* times over; axis by axis."""
    for _ in range(passes):
        for axis in (1, 2, 3):
            size = values.shape[axis]
            if size == 1:
                continue
            first, last = values.narrow(axis, 0, 1), values.narrow(axis, size - 1, 1)
            padded = torch.cat([*[first] * radius, values, *[last] * radius], dim=axis)
            total = padded.narrow(axis, 0, size) + padded.narrow(axis, 1, size)
            for offset in range(2, 2 * radius + 1):
                total += padded.narrow(axis, offset, size)
            values = total / (2 * radius + 1)
    return values
