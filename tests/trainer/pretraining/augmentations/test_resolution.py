import math

import pytest
import torch

from trainer.pretraining.augmentations.resolution import FWHM_TO_STD, coarsen

SIZE = 192


def test_pixels_of_the_same_size_change_nothing() -> None:
    crops = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(coarsen(crops, torch.ones(2)), crops)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("frequency", [1 / 48, 1 / 16, 1 / 12])
def test_a_grating_is_weakened_by_the_gaussian_transfer_function(factor: int, frequency: float) -> None:
    grating = torch.cos(2 * math.pi * frequency * torch.arange(SIZE)).expand(1, 1, SIZE, SIZE)
    std = math.sqrt(factor**2 - 1) * FWHM_TO_STD

    seen = coarsen(grating, torch.tensor([float(factor)]))

    # On the coarse grid nothing is interpolated; far from the edges the point spread is whole.
    middle = slice(4 * factor, SIZE - 4 * factor, factor)
    expected = math.exp(-2 * (math.pi * std * frequency) ** 2) * grating
    torch.testing.assert_close(seen[..., 10, middle], expected[..., 10, middle], atol=2e-3, rtol=0)


def test_between_coarse_pixels_it_is_linear() -> None:
    crops = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    rows = coarsen(crops, torch.tensor([4.0]))[0, 0]
    torch.testing.assert_close(rows[6], (rows[4] + rows[8]) / 2)


def test_an_even_slice_keeps_its_value() -> None:
    even = torch.full((1, 1, 32, 32), -70.0)
    torch.testing.assert_close(coarsen(even, torch.tensor([2.7])), even)
