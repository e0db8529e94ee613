import math

import pytest
import torch

from trainer.pretraining.augmentations.bias_field import NUM_COEFFICIENTS, multiply_by_fields


def _fields(strength: float, *, size: int = 65, num: int = 4) -> torch.Tensor:
    coefficients = torch.randn(num, NUM_COEFFICIENTS, generator=torch.Generator().manual_seed(1))
    return multiply_by_fields(torch.ones(num, 1, size, size), coefficients, torch.full((num,), strength))[:, 0]


def test_the_field_is_a_factor() -> None:
    crops = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 900
    coefficients = torch.randn(3, NUM_COEFFICIENTS, generator=torch.Generator().manual_seed(1))
    strength = torch.tensor([0.1, 0.3, 0.5])

    field = multiply_by_fields(torch.ones_like(crops), coefficients, strength)

    torch.testing.assert_close(multiply_by_fields(crops, coefficients, strength), crops * field)


def test_its_logarithm_reaches_the_strength_and_no_further() -> None:
    largest = _fields(0.4).log().abs().amax(dim=(1, 2))
    torch.testing.assert_close(largest, torch.full((4,), 0.4))


def test_it_is_a_polynomial_of_order_three() -> None:
    logarithm = _fields(0.4).log().double()
    # The fourth difference of a cubic is zero, its third is constant.
    assert logarithm.diff(n=4, dim=1).abs().max() < 1e-5
    assert logarithm.diff(n=4, dim=2).abs().max() < 1e-5
    assert logarithm.diff(n=1, dim=2).abs().max() > 1e-3


def test_one_coefficient_is_its_legendre_polynomial() -> None:
    coefficients = torch.zeros(1, NUM_COEFFICIENTS)
    coefficients[0, 1] = 7.0  # order 0 down the rows, 2 along the columns
    field = multiply_by_fields(torch.ones(1, 1, 5, 5), coefficients, torch.tensor([0.5]))[0, 0]

    # P2 is 1 at the edge, -1/2 in the middle.
    assert field[3, 0].item() == pytest.approx(math.exp(0.5))
    assert field[3, 2].item() == pytest.approx(math.exp(-0.25))
