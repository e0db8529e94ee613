"""Self- and cross-attention over tokens, as the published heads pool a volume (modeling_dinov2.py of raidium/curia).

Each block is multi-head attention, added to its query and normed; there is no feed-forward part. Self-attention lets
the tokens see one another; cross-attention lets learned queries gather them. The pooled vector is the mean over what is
left. Shapes: T tokens, Q queries, D features, H heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

NORM_EPS = 1e-5
"""torch's default, with which the published heads were trained."""

Block = Literal["self", "cross"]


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """One block's weights.

    in_weight : (3 D, D), rows of queries, keys and values; out_weight : (D, D)
    """

    num_heads: int
    in_weight: Tensor
    in_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor
    norm_weight: Tensor
    norm_bias: Tensor

    def __call__(self, query: Tensor, memory: Tensor, *, frozen: bool = False) -> Tensor:
        """(Q, D) and (T, D) to (Q, D).

        frozen : take attention weights and the norm's deviation as constants, so that the result is affine in *memory*
            and, but for the attention weights, in *query*
        """
        width = query.shape[-1]
        weights, biases = torch.split(self.in_weight, width), torch.split(self.in_bias, width)
        queries, keys = linear(query, weights[0], biases[0]), linear(memory, weights[1], biases[1])
        if frozen:
            queries, keys = queries.detach(), keys.detach()
        values = linear(memory, weights[2], biases[2])
        gathered = scaled_dot_product_attention(self._heads(queries), self._heads(keys), self._heads(values))
        attended = linear(gathered[0].transpose(0, 1).reshape(len(query), width), self.out_weight, self.out_bias)
        centred = (residual := query + attended) - residual.mean(dim=-1, keepdim=True)
        deviation = (centred.square().mean(dim=-1, keepdim=True) + NORM_EPS).sqrt()
        return centred / (deviation.detach() if frozen else deviation) * self.norm_weight + self.norm_bias

    def on(self, device: str) -> "Attention":
        """The same weights on *device*."""
        return Attention(
            self.num_heads,
            *(
                weight.to(device)
                for weight in (
                    self.in_weight,
                    self.in_bias,
                    self.out_weight,
                    self.out_bias,
                    self.norm_weight,
                    self.norm_bias,
                )
            ),
        )

    def _heads(self, part: Tensor) -> Tensor:
        """(n, D) to (1, H, n, D / H)."""
        return part.reshape(len(part), self.num_heads, -1).transpose(0, 1)[None]


@dataclass(frozen=True, slots=True, eq=False)
class AttentionPool:
    """Blocks in their order; each kind of block has one set of weights.

    queries : (Q, D), of the cross block
    """

    order: tuple[Block, ...]
    blocks: Mapping[Block, Attention]
    queries: Tensor

    def on(self, device: str) -> "AttentionPool":
        """The same pool on *device*."""
        blocks = {name: block.on(device) for name, block in self.blocks.items()}
        return AttentionPool(self.order, blocks, self.queries.to(device))

    def __call__(self, tokens: Tensor, *, frozen: bool = False) -> Tensor:
        """(T, D) to (D,); see `Attention` for *frozen*."""
        for block in self.order:
            query = tokens if block == "self" else self.queries
            tokens = self.blocks[block](query, tokens, frozen=frozen)
        return tokens.mean(dim=0)


def slice_positions(num_slices: int, width: int) -> Tensor:
    """(num_slices, width): sines and cosines in turn, of the index within the chosen slices."""
    place = torch.arange(num_slices, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-torch.log(torch.tensor(10000.0)) / width))
    return torch.stack([torch.sin(place * rates), torch.cos(place * rates)], dim=-1).reshape(num_slices, width)
