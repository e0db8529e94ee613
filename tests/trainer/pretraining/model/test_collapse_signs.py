import math

import pytest
import torch

from trainer.pretraining.model.collapse_signs import ROWS, entropies, flatness, mean_cosine


def test_entropies_are_those_of_the_formula_whatever_the_rows_number() -> None:
    targets = torch.softmax(torch.randn(2, ROWS + 3, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
    torch.testing.assert_close(entropies(targets), -(targets * targets.log()).sum(dim=-1))


def test_flat_targets_are_flat_and_certain_ones_are_not() -> None:
    flat, certain = torch.full((3, 64), 1 / 64), torch.eye(3, 64)
    assert float(flatness(entropies(flat).mean(), 64)) == pytest.approx(1.0)
    assert float(flatness(entropies(certain).mean(), 64)) == 0.0
    assert float(entropies(flat)[0]) == pytest.approx(math.log(64))


def test_cosine_tells_collapse_from_spread() -> None:
    assert float(mean_cosine(torch.ones(4, 3))) == pytest.approx(1.0)
    assert float(mean_cosine(torch.eye(4))) == pytest.approx(0.0)
    # Two pairs of opposite vectors: of the 12 ordered pairs, 4 have -1 and the others 0.
    assert float(mean_cosine(torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]]))) == pytest.approx(-1 / 3)
