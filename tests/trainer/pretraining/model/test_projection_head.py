import pytest
import torch
from torch import nn

from slice_cases import tiny_config
from trainer.pretraining.model.projection_head import DINOHead, initialise


def head(layers: int = 3) -> DINOHead:
    made = DINOHead(24, tiny_config(losses={"head_layers": layers}).losses)
    initialise(made, torch.Generator().manual_seed(0))
    return made


def test_scores_are_cosines_with_the_prototypes() -> None:
    made = head()
    tokens = torch.randn(5, 24, generator=torch.Generator().manual_seed(1))
    bottleneck = made.mlp(tokens)
    expected = torch.cosine_similarity(bottleneck[:, None], made.prototypes[None], dim=-1)
    torch.testing.assert_close(made(tokens), expected)
    made.prototypes.data *= 5.0
    torch.testing.assert_close(made(tokens), expected)


@pytest.mark.parametrize(("layers", "linear"), [(1, 1), (2, 2), (3, 3)])
def test_as_many_linear_maps_as_asked(layers: int, linear: int) -> None:
    made = head(layers)
    assert sum(isinstance(module, nn.Linear) for module in made.mlp) == linear
    assert isinstance(made.mlp[-1], nn.Linear)
    assert made(torch.ones(2, 24)).shape == (2, 20)


def test_half_precision_comes_back_as_it_went_in() -> None:
    made, tokens = head(), torch.randn(5, 24, generator=torch.Generator().manual_seed(1))
    expected = made(tokens)
    scores = made.to(torch.bfloat16)(tokens.to(torch.bfloat16))
    assert scores.dtype == torch.bfloat16
    torch.testing.assert_close(scores.float(), expected, atol=0.05, rtol=0)


def test_prototypes_start_on_the_sphere() -> None:
    torch.testing.assert_close(head().prototypes.norm(dim=1), torch.ones(20))
