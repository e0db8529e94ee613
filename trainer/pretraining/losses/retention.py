"""Staying where one was, in every direction by its own spread.

A linear probe reads directions in which features hardly differ as well as those in which they differ most. So the
distance is Mahalanobis's (1936): what is held is held to a share of how much images differ there.
"""

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = 1e-4
"""Share of the whole variance that is added to every direction's, so that what no image shows is not held."""


def retention_loss(apart: Tensor, covariance: Tensor, counted: Tensor) -> Tensor:
    """Mean Huber distance (its knee at 1) of whitened differences.

    apart : (n, F), features minus what they were
    covariance : (F, F) of what they were, over images
    counted : (n) bool, the rows that are asked; none make 0
    """
    floor = FLOOR * covariance.trace() * torch.eye(len(covariance), device=covariance.device)
    root = torch.linalg.cholesky(covariance + floor)
    white = torch.linalg.solve_triangular(root, apart.float().mT, upper=False).mT
    distance = functional.smooth_l1_loss(white, torch.zeros_like(white), reduction="none").mean(dim=1)
    return (distance * counted).sum() / counted.sum().clamp(min=1)
