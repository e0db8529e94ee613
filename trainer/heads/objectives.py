"""What a fit makes small: mean losses of a head's outputs, each example or label with its weight.

Shapes: n examples, C outputs. A target that nobody told is nan and counts nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Outputs (n, C), targets (n, T) and weights (n, T) to a mean loss."""


def each_label(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of independent yes-or-no answers; targets : (n, C) of 0, 1 and nan."""
    told = torch.isfinite(targets)
    losses = binary_cross_entropy_with_logits(outputs, torch.where(told, targets, 0.0), reduction="none")
    weights = torch.where(told, weights, 0.0)
    return (losses * weights).sum() / weights.sum().clamp(min=1e-12)


def one_class(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of classes that exclude one another; targets : (n, 1) numbers of classes."""
    losses = cross_entropy(outputs, targets[:, 0].long(), reduction="none")
    return (losses * weights[:, 0]).sum() / weights.sum()


def grades(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Negative log likelihood of cumulative odds (McCullagh 1980).

    outputs : (n, K - 1) falling log odds of lying above each step; targets : (n, 1) grades from 0
    """
    ones, grade = torch.ones_like(outputs[:, :1]), targets[:, 0].long()[:, None]
    above = torch.cat([ones, torch.sigmoid(outputs), 0 * ones], dim=1)
    likelihood = (above.gather(1, grade) - above.gather(1, grade + 1)).clamp(min=1e-12)
    return -(likelihood.log()[:, 0] * weights[:, 0]).sum() / weights.sum()


def squared_error(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Half the mean squared error."""
    return ((outputs - targets).square() * weights).sum() / (2 * weights.sum())


def partial_likelihood(outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Negative log partial likelihood of Cox (1972) for each event, ties by Breslow.

    outputs : (n, 1) log hazard ratios; targets : (n, 2) time, and 1 where it ended with the event
    """
    order = torch.argsort(targets[:, 0], descending=True, stable=True)
    risks, times, events = outputs[order, 0], targets[order, 0], targets[order, 1] * weights[order, 0]
    at_risk = torch.logcumsumexp(risks, dim=0)
    # All that end at one time are at risk together: the last of them in this order stands for each.
    last = torch.searchsorted(-times.contiguous(), -times.contiguous(), right=True) - 1
    return ((at_risk[last] - risks) * events).sum() / events.sum().clamp(min=1.0)
