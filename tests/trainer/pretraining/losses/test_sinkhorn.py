import math

import pytest
import torch
from torch import Tensor

from trainer.pretraining.losses.sinkhorn import sinkhorn_knopp


def cosines(rows: int, prototypes: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, prototypes, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def naive(scores: Tensor, temperature: float, iterations: int) -> list[list[float]]:
    """SwAV's appendix, entry by entry in double precision: prototypes to 1/K, samples to 1/n, at last times n."""
    rows, columns = scores.shape
    q = [[math.exp(float(value) / temperature) for value in row] for row in scores]
    total = sum(map(sum, q))
    q = [[value / total for value in row] for row in q]
    for _ in range(iterations):
        sums = [sum(q[i][k] for i in range(rows)) for k in range(columns)]
        q = [[q[i][k] / sums[k] / columns for k in range(columns)] for i in range(rows)]
        q = [[value / sum(row) / rows for value in row] for row in q]
    return [[value * rows for value in row] for row in q]


@pytest.mark.parametrize("temperature", [0.02, 0.07, 1.0])
@pytest.mark.parametrize("iterations", [1, 3])
def test_equals_the_naive_one(temperature: float, iterations: int) -> None:
    scores = cosines(9, 5)
    expected = torch.tensor(naive(scores, temperature, iterations))
    ours = sinkhorn_knopp(scores, temperature=temperature, iterations=iterations)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_every_row_is_a_distribution_and_prototypes_are_used_alike() -> None:
    assignments = sinkhorn_knopp(cosines(60, 6), temperature=0.1, iterations=50)
    torch.testing.assert_close(assignments.sum(dim=1), torch.ones(60))
    torch.testing.assert_close(assignments.sum(dim=0), torch.full((6,), 10.0), atol=0.01, rtol=0)


def test_no_rows_are_no_trouble() -> None:
    assert sinkhorn_knopp(torch.zeros(0, 4), temperature=0.1, iterations=3).shape == (0, 4)


def test_extreme_cosines_stay_finite() -> None:
    scores = torch.full((3, 4), -1.0)
    scores[:, 0] = 1.0
    assert sinkhorn_knopp(scores, temperature=0.02, iterations=3).isfinite().all()
