"""Normalised mutual information of many poses at once (Studholme et al., 1999): what one image tells of the other."""

import torch
from torch import Tensor

BINS = 20


def soft_bins(values: Tensor) -> Tensor:
    """(..., N) values in 0..1 to (..., N, BINS) weights that sum to one, linear between neighbouring bins."""
    centres = torch.arange(BINS, dtype=torch.float32, device=values.device)
    return (1.0 - (values[..., None] * (BINS - 1) - centres).abs()).clamp(min=0.0)


def normalised_mutual_information(fixed_bins: Tensor, moving: Tensor, valid: Tensor) -> Tensor:
    """(P,) of P poses, 1 (nothing) to 2 (everything).

    fixed_bins : (N, BINS) of the fixed image's points
    moving, valid : (P, N) the moving image's values in 0..1 at those points, and whether it shows them
    """
    joint = fixed_bins.T @ (soft_bins(moving) * valid[..., None])  # (P, BINS, BINS)
    joint = joint / joint.sum(dim=(1, 2), keepdim=True).clamp(min=1.0)
    both = _entropy(joint.flatten(1)).clamp(min=1e-6)
    return (_entropy(joint.sum(dim=1)) + _entropy(joint.sum(dim=2))) / both


def _entropy(shares: Tensor) -> Tensor:
    return -(shares * (shares + 1e-12).log()).sum(dim=-1)
