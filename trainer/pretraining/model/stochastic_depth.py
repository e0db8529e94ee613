"""Drop path that saves what it drops: a branch is computed for a part of the batch only (DINOv2, section 5)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class StochasticDepthBlock(nn.Module):
    """A timm block under its own parameter names, with stochastic depth on both branches while it trains.

    rate : share of the batch that skips a branch; the others' branch is scaled so that the mean stays
    """

    def __init__(self, block: Any, rate: float) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = block.norm1, block.attn, block.ls1
        self.norm2, self.mlp, self.ls2 = block.norm2, block.mlp, block.ls2
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        x = self._add(x, lambda part: self.ls1(self.attn(self.norm1(part))))
        return self._add(x, lambda part: self.ls2(self.mlp(self.norm2(part))))

    def _add(self, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x + branch(x)
        kept = max(round(len(x) * (1.0 - self.rate)), 1)
        # The number is fixed by the batch and the rate, so that no device has to tell it.
        chosen = torch.randperm(len(x), device=x.device)[:kept]
        return x.index_add(0, chosen, branch(x[chosen]).to(x.dtype), alpha=len(x) / kept)
