import math

import pytest
import torch

from trainer.pretraining.augmentations.noise import add_gaussian_noise, add_rician_noise

STD = torch.tensor([5.0, 40.0])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_gaussian_noise_has_the_asked_deviation_and_no_mean() -> None:
    noisy = add_gaussian_noise(torch.full((2, 1, 256, 256), 40.0), STD, _generator())

    for crop, std in zip(noisy, STD, strict=True):
        assert crop.std().item() == pytest.approx(std.item(), rel=0.02)
        assert crop.mean().item() == pytest.approx(40.0, abs=4 * std.item() / 256)


def test_rician_noise_on_nothing_is_rayleigh() -> None:
    noisy = add_rician_noise(torch.zeros(2, 1, 256, 256), STD, _generator())

    for crop, std in zip(noisy, STD.tolist(), strict=True):
        assert crop.mean().item() == pytest.approx(std * math.sqrt(math.pi / 2), rel=0.02)
        assert crop.std().item() == pytest.approx(std * math.sqrt(2 - math.pi / 2), rel=0.02)


def test_rician_noise_on_a_strong_signal_is_gaussian_and_lifts_it_by_half_the_variance_over_it() -> None:
    noisy = add_rician_noise(torch.full((1, 1, 512, 512), 200.0), torch.tensor([20.0]), _generator())

    assert noisy.mean().item() == pytest.approx(200 + 20**2 / (2 * 200), abs=0.15)
    assert noisy.std().item() == pytest.approx(20.0, rel=0.02)


def test_without_deviation_nothing_changes() -> None:
    crops = torch.rand(2, 1, 8, 8, generator=_generator())
    assert torch.equal(add_gaussian_noise(crops, torch.zeros(2), _generator()), crops)
    assert torch.equal(add_rician_noise(crops, torch.zeros(2), _generator()), crops)
