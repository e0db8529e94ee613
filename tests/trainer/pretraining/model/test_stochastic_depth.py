import pytest
import torch
from torch import Tensor, nn

from operators.encoder.vision_transformer import build_vision_transformer
from slice_cases import tiny_config
from trainer.pretraining.model.stochastic_depth import StochasticDepthBlock


def timm_block() -> nn.Module:
    torch.manual_seed(0)
    vit = build_vision_transformer(tiny_config().encoder_config)
    return vit.get_submodule("blocks.0")


def tokens(batch: int) -> Tensor:
    return torch.randn(batch, 5, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_without_drops_it_is_timm_s_block(rate: float, training: bool) -> None:
    block = timm_block()
    wrapped = StochasticDepthBlock(block, rate).train(training)
    torch.testing.assert_close(wrapped(tokens(4)), block(tokens(4)))
    assert wrapped.state_dict().keys() == block.state_dict().keys()


def test_the_dropped_pass_and_the_others_count_more() -> None:
    """At a half, each branch acts on half of the rows, doubled; with the second branch silent the first one shows."""
    block = timm_block()
    wrapped = StochasticDepthBlock(block, 0.5).train()
    nn.init.zeros_(wrapped.ls2.gamma)
    x = tokens(10)
    torch.manual_seed(2)
    change = wrapped(x) - x
    doubled = 2 * wrapped.ls1(wrapped.attn(wrapped.norm1(x)))
    passed = change.abs().amax(dim=(1, 2)) == 0
    assert passed.sum() == 5
    torch.testing.assert_close(change[~passed], doubled[~passed])


def test_the_mean_stays() -> None:
    wrapped = StochasticDepthBlock(timm_block(), 0.3).train()
    nn.init.zeros_(wrapped.ls2.gamma)
    x = tokens(10)
    torch.manual_seed(3)
    with torch.no_grad():
        mean = torch.stack([wrapped(x) - x for _ in range(600)]).mean(dim=0)
        full = wrapped.eval()(x) - x
    torch.testing.assert_close(mean, full, atol=0.15 * float(full.abs().max()), rtol=0)


def test_one_row_is_never_dropped() -> None:
    block = timm_block()
    torch.testing.assert_close(StochasticDepthBlock(block, 0.9).train()(tokens(1)), block(tokens(1)))
