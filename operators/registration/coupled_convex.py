"""Where each cell of the fixed lattice goes: every shift tried, the choice made smooth (Siebert et al., 2021)."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from operators.registration.lattice import box_mean

COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""How strongly a cell's choice is tied to its neighbours', growing; as published."""


def shifts(reach: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """(K, 3) every whole shift up to *reach* cells along each axis that has more than one cell."""
    ranges = [range(-reach, reach + 1) if size > 1 else range(1) for size in shape]
    return torch.tensor(list(itertools.product(*ranges)), dtype=torch.float32, device=device)


def correlation_volume(fixed: Tensor, moving: Tensor, reach: int) -> Tensor:
    """(K, d, h, w) mean squared difference of features for each of `shifts`, averaged twice over neighbours.

    fixed, moving : (C, d, h, w)
    """
    shape = fixed.shape[1:]
    around = [reach if size > 1 else 0 for size in shape]
    padding = [width for size in reversed(around) for width in (size, size)]
    # Beyond the border there is nothing that anything looks like.
    padded = functional.pad(moving, padding)
    costs = []
    for shift in itertools.product(*[range(2 * size + 1) for size in around]):
        there = padded
        for axis, start in enumerate(shift):
            there = there.narrow(axis + 1, start, shape[axis])
        costs.append((fixed - there).square().mean(dim=0))
    return box_mean(torch.stack(costs), passes=2)


def coupled_convex(costs: Tensor, reach: int, *, scale: float = 12.0) -> Tensor:
    """(3, d, h, w) displacements in cells: costs and smoothness minimised in turn.

    scale : what a unit of the mean squared difference weighs against a squared cell, twelve channels' sum as published
    """
    shape = costs.shape[1:]
    candidates = shifts(reach, tuple(shape), costs.device)
    flat = costs.reshape(len(candidates), -1) * scale
    # The first choice is tied to rest, so that a cell without features does not take whatever comes first.
    smooth = torch.zeros(3, *shape, device=costs.device)
    for coupling in (COUPLINGS[0], *COUPLINGS):
        target = smooth.reshape(3, -1)
        # |c - t|^2 without |t|^2, which is the same for every candidate
        distance = candidates.square().sum(dim=1)[:, None] - 2 * candidates @ target
        chosen = candidates[torch.addcmul(flat, distance, torch.tensor(coupling, device=flat.device)).argmin(dim=0)]
        smooth = box_mean(chosen.T.reshape(3, *shape))
    return smooth
