import math

import pytest
import torch

from trainer.pretraining.losses.koleo import koleo_loss


def test_points_on_a_circle() -> None:
    """n points at equal angles: every nearest neighbour is at 2 sin(pi / n), whatever the lengths."""
    for n in (3, 5, 8):
        angles = torch.arange(n) * 2 * math.pi / n
        points = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.arange(1, n + 1)[:, None]
        assert float(koleo_loss(points)) == pytest.approx(-math.log(2 * math.sin(math.pi / n)), abs=1e-5)


def test_equals_the_formula_in_loops() -> None:
    features = torch.randn(11, 6, generator=torch.Generator().manual_seed(0))
    unit = features / features.norm(dim=1, keepdim=True)
    logs = [
        math.log(min(math.dist(a, b) for j, b in enumerate(unit.tolist()) if j != i))
        for i, a in enumerate(unit.tolist())
    ]
    assert float(koleo_loss(features)) == pytest.approx(-sum(logs) / 11, rel=1e-5)


def test_the_gradient_drives_two_rows_apart() -> None:
    features = torch.tensor([[1.0, 0.1], [1.0, -0.1]], requires_grad=True)
    koleo_loss(features).backward()
    assert features.grad is not None
    first, second = features.grad[:, 1].tolist()
    assert first < 0 < second


def test_one_row_has_no_neighbour_and_equal_rows_stay_finite() -> None:
    assert float(koleo_loss(torch.ones(1, 4))) == 0.0
    same = torch.ones(3, 4, requires_grad=True)
    loss = koleo_loss(same)
    loss.backward()
    assert loss.isfinite()
    assert same.grad is not None
    assert same.grad.isfinite().all()
