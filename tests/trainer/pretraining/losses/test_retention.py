"""Whitened differences: closed forms in two directions of unlike spread."""

import pytest
import torch

from trainer.pretraining.losses.retention import FLOOR, retention_loss

SPREAD = torch.diag(torch.tensor([4.0, 0.01]))


@pytest.mark.parametrize(("direction", "deviation"), [(0, 2.0), (1, 0.1)])
def test_a_deviation_costs_the_same_in_every_direction(direction: int, deviation: float) -> None:
    apart = torch.zeros(1, 2)
    apart[0, direction] = 3.0 * deviation
    cost = retention_loss(apart, SPREAD, torch.tensor([True])).item()
    # Huber's distance of 3 deviations is 2.5, over two directions; the floor widens the narrow one a little.
    widened = 3.0 / (1.0 + FLOOR * 4.01 / deviation**2) ** 0.5
    assert cost == pytest.approx((widened - 0.5) / 2, rel=1e-5)


def test_it_is_mahalanobis_s_distance_where_directions_hang_together() -> None:
    covariance = torch.tensor([[2.0, 1.2], [1.2, 1.0]])
    apart = torch.tensor([[0.2, -0.1]])
    floor = FLOOR * 3.0 * torch.eye(2)
    expected = (apart @ torch.linalg.inv(covariance + floor) @ apart.T).item() / 4
    assert retention_loss(apart, covariance, torch.tensor([True])).item() == pytest.approx(expected, rel=1e-5)


def test_rows_that_are_not_asked_cost_nothing() -> None:
    apart = torch.tensor([[2.0, 0.0], [1e3, 1e3]])
    one = retention_loss(apart[:1], SPREAD, torch.tensor([True]))
    torch.testing.assert_close(retention_loss(apart, SPREAD, torch.tensor([True, False])), one)
    assert retention_loss(apart, SPREAD, torch.tensor([False, False])).item() == 0.0
