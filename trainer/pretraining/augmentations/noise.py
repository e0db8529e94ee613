"""Scanner noise: Gaussian in CT's HU, Rician in MR's magnitude."""

import torch
from torch import Tensor


def add_gaussian_noise(crops: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """White noise on (n, 1, S, S) crops.

    std : (n,), in the crops' unit
    """
    return crops + std[:, None, None, None] * _normal(crops, generator)


def add_rician_noise(crops: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """The magnitude of (n, 1, S, S) crops after Gaussian noise in both channels (Gudbjartsson 1995, equation 1).

    std : (n,), of each channel, in the crops' unit
    """
    scale = std[:, None, None, None]
    return torch.hypot(crops + scale * _normal(crops, generator), scale * _normal(crops, generator))


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, device=like.device, dtype=like.dtype, generator=generator)
