"""The last step: the displacements of one pair, improved by Adam on its own features with diffusion regularisation."""

import itertools

import torch
from torch import Tensor

from operators.registration.lattice import box_mean, identity_places, sample

GRADIENT_FLOOR = 1e-3
"""Of one point, added to Adam's mean gradient: what lies below hardly moves."""
REACH = 4
"""Points to each side that a displacement is the mean of, twice over."""
FEWEST = 16
"""Points along an axis of which every second one is enough."""

Part = tuple[slice, ...]
WHOLE: Part = (slice(None),) * 3


def optimise(
    fixed: Tensor,
    moving: Tensor,
    start: Tensor,
    *,
    weight: Tensor,
    iterations: int,
    smoothness: float,
    step: float = 1.0,
) -> Tensor:
    """(3, d, h, w) displacements in steps of the lattice.

    fixed, moving : (C, d, h, w) features
    start : (3, d, h, w)
    weight : (d, h, w) in 0..1, how much each point's features count; elsewhere smoothness alone decides
    smoothness : weight of the mean squared difference between neighbours' displacements
    step : Adam's, in lattice steps

    Each iteration looks at another eighth of the points, which displacements this smooth need no more of. Where the end
    is no better than the start over all points, the start stays, so that images which fit already stay as they are.
    Displacements are means of means of what Adam moves: nothing smaller than some nine points is followed.
    """
    places = identity_places(tuple(fixed.shape[1:]), fixed.device)
    movable = torch.tensor([float(size > 1) for size in fixed.shape[1:]], device=fixed.device).reshape(3, 1, 1, 1)
    control = start.clone().requires_grad_()
    adam = torch.optim.Adam([control], lr=step, eps=GRADIENT_FLOOR)
    share = 12 * weight / weight.mean().clamp(min=1e-6)

    def loss(displacements: Tensor, part: Part) -> Tensor:
        taken = (slice(None), *part)
        difference = sample(moving, places[taken] + displacements[taken]) - fixed[taken]
        unlike = (difference.square().mean(dim=0) * share[part]).mean()
        # A sum over points, so that a point's gradient does not depend on how many there are.
        return (unlike + smoothness * roughness(displacements)) * weight.numel()

    parts, means = _parts(tuple(weight.shape)), _means(control)
    for iteration in range(iterations):
        # Steps grow smaller, or the field would end as rough as Adam's last ones.
        for group in adam.param_groups:
            group["lr"] = step * (1 - iteration / iterations)
        adam.zero_grad()
        loss(_smooth(control, means) * movable, parts[iteration % len(parts)]).backward()  # type: ignore[no-untyped-call]
        adam.step()
    with torch.no_grad():
        found = _smooth(control, means) * movable
        return found if loss(found, WHOLE) < loss(start, WHOLE) else start


def _means(control: Tensor) -> list[Tensor]:
    """(n, n) for each axis: a box mean of so many points is sooner taken as a product."""
    bases = (torch.eye(size, device=control.device)[:, None, None] for size in control.shape[1:])
    return [box_mean(basis, radius=REACH, passes=2)[:, 0, 0].T for basis in bases]


def _smooth(control: Tensor, means: list[Tensor]) -> Tensor:
    slices, rows, columns = means
    control = torch.einsum("di,cijk->cdjk", slices, control)
    control = torch.einsum("hj,cdjk->cdhk", rows, control)
    return torch.einsum("wk,cdhk->cdhw", columns, control)


def _parts(shape: tuple[int, ...]) -> list[Part]:
    """Every second point along each axis that has enough of them, from each beginning; neighbours come far apart."""
    firsts = itertools.product(*[(0, 1) if size >= FEWEST else (None,) for size in shape])
    parts = [tuple(slice(first, None, None if first is None else 2) for first in each) for each in firsts]
    return parts[::3] + parts[1::3] + parts[2::3]


def roughness(displacements: Tensor) -> Tensor:
    """Mean squared difference of neighbours, summed over the axes."""
    total = displacements.new_zeros(())
    for axis in (1, 2, 3):
        if displacements.shape[axis] > 1:
            total = total + torch.diff(displacements, dim=axis).square().mean()
    return total
