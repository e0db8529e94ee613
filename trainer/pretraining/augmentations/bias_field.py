"""MR's receive sensitivity: a smooth factor on every value."""

import torch
from torch import Tensor

NUM_COEFFICIENTS = 9
"""Legendre polynomials up to order 3 in two directions, the constant left out: z-scoring undoes a constant."""

_ORDERS = [(i, j) for i in range(4) for j in range(4 - i) if i + j > 0]


def multiply_by_fields(crops: Tensor, coefficients: Tensor, strength: Tensor) -> Tensor:
    """Each of (n, 1, S, S) crops times the exponential of a polynomial.

    coefficients : (n, 9), any scale; they say the field's shape
    strength : (n,), largest deviation of the field's logarithm from 0
    """
    logarithm = torch.einsum("nk,khw->nhw", coefficients, _polynomials(crops.shape[-1], crops.device))
    largest = logarithm.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    return crops * (logarithm / largest * strength[:, None, None]).exp()[:, None]


def _polynomials(size: int, device: torch.device) -> Tensor:
    """(9, S, S), products of Legendre polynomials on -1 .. 1."""
    x = torch.linspace(-1.0, 1.0, size, device=device)
    legendre = [torch.ones_like(x), x, (3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2]
    return torch.stack([legendre[i][:, None] * legendre[j] for i, j in _ORDERS])
