import math

import pytest
import torch

from trainer.pretraining.losses.ibot import ibot_loss


def test_mean_within_each_crop_then_over_all_crops() -> None:
    """Crop 0 has 3 masked tokens, crop 1 none, crop 2 has 1; the sum over crops is divided by 3."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 6, generator=generator)
    target = torch.randn(4, 6, generator=generator).softmax(dim=-1)
    rows = []
    for score, wanted in zip(scores.tolist(), target.tolist(), strict=True):
        total = sum(math.exp(s / 0.2) for s in score)
        rows.append(-sum(t * math.log(math.exp(s / 0.2) / total) for s, t in zip(score, wanted, strict=True)))
    expected = (sum(rows[:3]) / 3 + 0 + rows[3]) / 3
    weights = torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0])
    assert float(ibot_loss(scores, target, weights, num_crops=3, temperature=0.2)) == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_masks_costs_nothing() -> None:
    empty = torch.zeros(0, 6, requires_grad=True)
    loss = ibot_loss(empty, torch.zeros(0, 6), torch.zeros(0), num_crops=4, temperature=0.1)
    loss.backward()
    assert float(loss.detach()) == 0.0
