import numpy as np
import pytest
import torch

from trainer.pretraining.losses.distillation import LIMIT, distillation_loss, standardised

ROWS = torch.from_numpy(np.random.default_rng(0).normal(3.0, [0.1, 1.0, 50.0], (400, 3)))


def test_every_channel_counts_alike() -> None:
    found = standardised(ROWS)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(dim=0, correction=0), torch.ones(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardised(ROWS * 7 + 2), found, atol=1e-4, rtol=0)


def test_the_loss_is_the_huber_distance_to_standardised_features() -> None:
    right = standardised(ROWS)
    assert distillation_loss(right, ROWS) == 0
    # Half a squared distance under 1, the distance less a half above it.
    assert distillation_loss(right + 0.5, ROWS).item() == pytest.approx(0.125, abs=1e-6)
    assert distillation_loss(right + 4.0, ROWS).item() == pytest.approx(3.5, abs=1e-5)


def test_a_channel_that_never_changes_and_an_outlier_stay_bounded() -> None:
    rows = torch.zeros(1000, 2)
    rows[0, 1] = 1e6
    found = standardised(rows)
    assert torch.equal(found[:, 0], torch.zeros(1000))
    assert found.abs().max() == LIMIT
