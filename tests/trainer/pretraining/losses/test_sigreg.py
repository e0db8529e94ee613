import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.pretraining.losses.sigreg import draw_directions, epps_pulley, sigreg_loss

NORMAL_MEAN = math.sqrt(2 * math.pi) * (1 / math.sqrt(1) - 1 / math.sqrt(3))
"""Of the statistic for normal samples: the integral of (1 - exp(-t^2)) exp(-t^2 / 2) over all t."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def closed_form(samples: np.ndarray) -> float:
    """The same integral over all t, solved: n sqrt(2 pi) times three means of Gaussians."""
    n = len(samples)
    differences = samples[:, None] - samples[None, :]
    pairs = np.exp(-(differences**2) / 2).mean()
    return float(
        n * math.sqrt(2 * math.pi) * (pairs - math.sqrt(2) * np.exp(-(samples**2) / 4).mean() + 1 / math.sqrt(3))
    )


@pytest.mark.parametrize("scale", [0.1, 1.0, 2.5])
def test_equals_the_closed_form_in_one_dimension(scale: float) -> None:
    samples = normal(40, 3) * scale + 0.3
    expected = [closed_form(column) for column in samples.numpy().astype(np.float64).T]
    fine = epps_pulley(samples, t_max=8.0, num_points=401)
    np.testing.assert_allclose(fine.numpy(), expected, rtol=1e-4)
    # LeJEPA's 17 points up to 3 leave out a little of the tail.
    np.testing.assert_allclose(epps_pulley(samples).numpy(), expected, atol=0.03, rtol=0.02)


def test_normal_samples_reach_the_mean_that_theory_tells_at_any_size() -> None:
    for n in (50, 2000):
        statistics = epps_pulley(normal(n, 400))
        assert float(statistics.mean()) == pytest.approx(NORMAL_MEAN, rel=0.12)


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x + 1.0,
        lambda x: 2.0 * x,
        lambda x: 0.3 * x,
        torch.sign,
        lambda x: math.sqrt(12) * (torch.special.ndtr(x) - 0.5),
    ],
    ids=["shifted", "wide", "narrow", "two points", "uniform"],
)
def test_other_samples_are_far_above(other) -> None:  # type: ignore[no-untyped-def]
    assert float(epps_pulley(other(normal(2000, 1)))) > 3 * NORMAL_MEAN


def test_features_in_many_dimensions() -> None:
    """Isotropic features score as normal samples do; a collapsed direction or a shared one raises the loss."""
    features = normal(1000, 16)
    good = float(sigreg_loss(features, num_projections=256, seed=0))
    flat = float(sigreg_loss(features * (torch.arange(16) < 8), num_projections=256, seed=0))
    same = float(sigreg_loss(features[:1].expand(1000, -1), num_projections=256, seed=0))
    assert good == pytest.approx(NORMAL_MEAN, rel=0.25)
    assert good < 0.1 * flat < 0.1 * same


def test_descending_it_makes_features_standard_normal() -> None:
    features = (0.3 * normal(128, 3) + 0.6).requires_grad_()
    optimiser = torch.optim.Adam([features], lr=0.1)
    for step in range(80):
        optimiser.zero_grad()
        sigreg_loss(features, num_projections=16, seed=step).backward()
        optimiser.step()
    covariance = torch.cov(features.detach().mT)
    assert features.detach().mean(dim=0).abs().max() < 0.1
    assert (covariance - torch.eye(3)).abs().max() < 0.25


def test_directions_are_units_and_a_function_of_the_seed() -> None:
    cpu = torch.device("cpu")
    first = draw_directions(12, 30, seed=5, device=cpu)
    torch.testing.assert_close(first.norm(dim=0), torch.ones(30))
    assert torch.equal(first, draw_directions(12, 30, seed=5, device=cpu))
    assert not torch.equal(first, draw_directions(12, 30, seed=6, device=cpu))
