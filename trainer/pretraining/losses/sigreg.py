"""SIGReg: pushes the features' distribution towards a standard normal one (Balestriero and LeCun 2025, LeJEPA).

A distribution is standard normal where its projection on every direction is. Random directions are drawn, and each
projection gets Epps and Pulley's statistic: the weighted squared distance between the empirical characteristic
function and the normal one, exp(-t^2 / 2).
"""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.pretraining.collectives import num_ranks, sum_over_ranks

T_MAX = 3.0
NUM_POINTS = 17
"""LeJEPA's: from 0 to 3, by the trapezoid rule; the negative half is the same by symmetry."""


def sigreg_loss(features: Tensor, *, num_projections: int, seed: int) -> Tensor:
    """Mean Epps-Pulley statistic over random directions, over all ranks' rows.

    features : (n, D), one view of each slice; n the same on all ranks
    seed : of the directions; the same on all ranks, another one each step
    """
    with torch.autocast(features.device.type, enabled=False):
        directions = draw_directions(features.shape[1], num_projections, seed=seed, device=features.device)
        return epps_pulley(features.float() @ directions).mean()


def draw_directions(dim: int, count: int, *, seed: int, device: torch.device) -> Tensor:
    """(dim, count) unit columns."""
    generator = torch.Generator(device).manual_seed(seed)
    return functional.normalize(torch.randn(dim, count, generator=generator, device=device), dim=0)


def epps_pulley(samples: Tensor, *, t_max: float = T_MAX, num_points: int = NUM_POINTS) -> Tensor:
    """(K,) statistics of (n, K) samples against N(0, 1), weighed with exp(-t^2 / 2) and times the number of samples."""
    t = torch.linspace(0.0, t_max, num_points, device=samples.device)
    normal = torch.exp(-0.5 * t**2)
    angles = samples[..., None] * t  # (n, K, T)
    total = len(samples) * num_ranks()
    real = sum_over_ranks(angles.cos().sum(dim=0)) / total
    imaginary = sum_over_ranks(angles.sin().sum(dim=0)) / total
    distance = ((real - normal) ** 2 + imaginary**2) * normal  # (K, T)
    return 2.0 * torch.trapezoid(distance, dx=t_max / (num_points - 1), dim=-1) * total
