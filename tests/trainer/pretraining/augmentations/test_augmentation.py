from dataclasses import replace

import numpy as np
import pytest
import torch

from slice_cases import body_slice
from trainer.pretraining.augmentations.augmentation import IntensityAndPlacing
from trainer.pretraining.config import AugmentationSettings
from trainer.pretraining.data.samples import SliceSample

OFF = {
    "placing": 0.0,
    "resolution": 0.0,
    "ct": {"window": 0.0, "noise": 0.0},
    "mr": {"bias": 0.0, "gamma": 0.0, "noise": 0.0},
}
CT, MR = body_slice(), replace(body_slice(), modality="MR", values="scanner units")


def _crops(num: int) -> torch.Tensor:
    return 100 + 900 * torch.rand(num, 1, 32, 32, generator=torch.Generator().manual_seed(3))


def _augment(settings: dict[str, object], samples: list[SliceSample], seed: int = 0) -> torch.Tensor:
    augment = IntensityAndPlacing(AugmentationSettings.model_validate({**OFF, **settings}))
    return augment(_crops(len(samples)), samples, np.random.default_rng(seed))


@pytest.mark.parametrize("settings", [{}, {"enabled": False, "placing": 1.0, "resolution": 1.0}])
def test_everything_off_changes_nothing(settings: dict[str, object]) -> None:
    assert torch.equal(_augment(settings, [CT, MR]), _crops(2))


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"placing": 1.0}, [True, True]),
        ({"resolution": 1.0}, [True, True]),
        ({"ct": {"window": 0.0, "noise": 1.0}}, [True, False]),
        ({"ct": {"window": 1.0, "noise": 0.0, "windows": [(300.0, 800.0)]}}, [True, False]),
        ({"mr": {"bias": 1.0, "gamma": 0.0, "noise": 0.0}}, [False, True]),
        ({"mr": {"bias": 0.0, "gamma": 1.0, "noise": 0.0}}, [False, True]),
        ({"mr": {"bias": 0.0, "gamma": 0.0, "noise": 1.0}}, [False, True]),
    ],
)
def test_each_changes_the_crops_that_it_is_made_for(settings: dict[str, object], changed: list[bool]) -> None:
    differs = (_augment(settings, [CT, MR]) != _crops(2)).flatten(1).any(dim=1)
    assert differs.tolist() == changed


def test_the_probability_is_the_share_of_crops() -> None:
    changed = (_augment({"ct": {"noise": 0.3, "window": 0.0}}, [CT] * 400) != _crops(400)).flatten(1).any(dim=1)
    # Four standard deviations of a binomial of 400.
    assert abs(changed.float().mean().item() - 0.3) < 4 * (0.3 * 0.7 / 400) ** 0.5


def test_the_generator_decides() -> None:
    settings: dict[str, object] = {"placing": 0.5, "resolution": 0.5, "ct": {"noise": 0.5}, "mr": {"noise": 0.5}}
    samples = [CT, MR, CT, MR]
    assert torch.equal(_augment(settings, samples, seed=1), _augment(settings, samples, seed=1))
    assert not torch.equal(_augment(settings, samples, seed=1), _augment(settings, samples, seed=2))


@pytest.mark.gpu
def test_a_gpu_makes_what_the_cpu_makes() -> None:
    settings: dict[str, object] = {"placing": 1.0, "resolution": 1.0, "mr": {"bias": 1.0, "gamma": 1.0, "noise": 0.0}}
    augment = IntensityAndPlacing(AugmentationSettings.model_validate({**OFF, **settings}))
    there = augment(_crops(4).cuda(), [CT, MR, CT, MR], np.random.default_rng(0))
    torch.testing.assert_close(there.cpu(), _augment(settings, [CT, MR, CT, MR]), atol=0.1, rtol=1e-3)
