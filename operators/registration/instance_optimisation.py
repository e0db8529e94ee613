"""The last step: the displacements of one pair, improved by Adam on its own features with diffusion regularisation."""

import torch
from torch import Tensor

from operators.registration.lattice import box_mean, identity_places, sample

GRADIENT_FLOOR = 1e-3
"""Of one point, added to Adam's mean gradient: what lies below hardly moves."""


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

    The best that was met is kept, so that images which fit already stay as they are. Displacements are means of means
    of means over three points a side of what Adam moves, close to a cubic B-spline.
    """
    places = identity_places(tuple(fixed.shape[1:]), fixed.device)
    movable = torch.tensor([float(size > 1) for size in fixed.shape[1:]], device=fixed.device).reshape(3, 1, 1, 1)
    control = start.clone().requires_grad_()
    adam = torch.optim.Adam([control], lr=step, eps=GRADIENT_FLOOR)
    share = 12 * weight / weight.mean().clamp(min=1e-6)
    best, least = start, torch.tensor(torch.inf)
    for iteration in range(iterations):
        # Steps grow smaller, or the field would end as rough as Adam's last ones.
        for group in adam.param_groups:
            group["lr"] = step * (1 - iteration / iterations)
        adam.zero_grad()
        displacements = box_mean(control, passes=3) * movable
        difference = (sample(moving, places + displacements) - fixed).square().mean(dim=0)
        # A sum over points, so that a point's gradient does not depend on how many there are.
        loss = ((difference * share).mean() + smoothness * roughness(displacements)) * difference.numel()
        if loss.detach() < least:
            best, least = displacements.detach(), loss.detach()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return best


def roughness(displacements: Tensor) -> Tensor:
    """Mean squared difference of neighbours, summed over the axes."""
    total = displacements.new_zeros(())
    for axis in (1, 2, 3):
        if displacements.shape[axis] > 1:
            total = total + torch.diff(displacements, dim=axis).square().mean()
    return total
