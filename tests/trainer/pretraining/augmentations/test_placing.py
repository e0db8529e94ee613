import math

import torch

from trainer.pretraining.augmentations.placing import turn_and_zoom


def _crops() -> torch.Tensor:
    return torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))


def test_a_quarter_turn_is_a_quarter_turn_clockwise() -> None:
    turned = turn_and_zoom(_crops(), torch.tensor([math.pi / 2]), torch.ones(1))
    torch.testing.assert_close(turned, _crops().rot90(-1, dims=(2, 3)), atol=1e-5, rtol=0)


def test_a_ramp_is_stretched_about_the_middle() -> None:
    ramp = torch.arange(-8.0, 9.0).expand(1, 1, 17, 17)

    larger = turn_and_zoom(ramp, torch.zeros(1), torch.tensor([2.0]))
    smaller = turn_and_zoom(ramp, torch.zeros(1), torch.tensor([0.5]))

    torch.testing.assert_close(larger, ramp / 2)
    # What lies beyond the edge takes the edge's value.
    torch.testing.assert_close(smaller, (ramp * 2).clamp(-8, 8))
