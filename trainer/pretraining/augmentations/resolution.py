"""Larger pixels: a wider point spread, sampled on a coarser grid, shown on the old one.

The point spread of a pixel is taken for a Gaussian as wide at half its height as the pixel. Widths add in squares, so
that pixels *f* times as large need a Gaussian of width sqrt(f^2 - 1) beyond the pixel's own; its transfer function is
exp(-2 (pi sigma nu)^2).
"""

import math

import torch
from torch import Tensor

FWHM_TO_STD = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))


def coarsen(crops: Tensor, pixel_factor: Tensor) -> Tensor:
    """(n, 1, S, S) crops as pixels (n,) times as large would show them, linearly interpolated; 1 changes nothing."""
    weights = _weights(pixel_factor, crops.shape[-1])[:, None]
    return weights @ crops @ weights.mT


def _weights(factor: Tensor, size: int) -> Tensor:
    """(n, S, S), rows that sum to 1: what each pixel adds to each pixel of the result."""
    places = torch.arange(size, device=factor.device, dtype=factor.dtype)
    coarse = places / factor[:, None]
    below = coarse.floor()
    share = (coarse - below)[..., None]
    near = _point_spread(below * factor[:, None], factor, places)
    far = _point_spread((below + 1.0) * factor[:, None], factor, places)
    return (1.0 - share) * near + share * far


def _point_spread(centres: Tensor, factor: Tensor, places: Tensor) -> Tensor:
    """(n, S, S): a normalised Gaussian over the pixels around each centre."""
    # Centres beyond the edge take the last pixels.
    offsets = places - centres.clamp(max=float(len(places) - 1))[..., None]
    # A factor of 1 leaves a Gaussian so narrow that only its own pixel counts.
    std = ((factor**2 - 1.0).clamp(min=0.0).sqrt() * FWHM_TO_STD).clamp(min=0.05)[:, None, None]
    weights = (-0.5 * (offsets / std) ** 2).softmax(dim=-1)
    return weights
