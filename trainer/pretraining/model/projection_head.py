"""From tokens to scores over prototypes: DINO's projection head, for CLS and for patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.pretraining.config import LossSettings

INIT_STD = 0.02


class DINOHead(nn.Module):
    """An MLP to a bottleneck on the unit sphere, and cosines with unit prototypes.

    DINOv2 gives every prototype a gain that is learned. Ours has none, as DINO's `norm_last_layer`: scores stay within
    -1 .. 1, on which Sinkhorn-Knopp's exponentials rely.
    """

    def __init__(self, embed_dim: int, settings: LossSettings) -> None:
        super().__init__()
        hidden, bottleneck = settings.head_hidden_dim, settings.head_bottleneck_dim
        widths = [embed_dim, *[hidden] * (settings.head_layers - 1), bottleneck]
        layers: list[nn.Module] = []
        for width, following in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(width, following), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        self.prototypes = nn.Parameter(torch.empty(settings.prototypes, bottleneck))

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, D) to (n, K) cosines."""
        # Half precision has too few digits for the norms; the product with many thousand prototypes wants its speed.
        bottleneck = functional.normalize(self.mlp(tokens).float(), dim=-1)
        prototypes = functional.normalize(self.prototypes.float(), dim=-1)
        return functional.linear(bottleneck.to(tokens.dtype), prototypes.to(tokens.dtype))


@torch.no_grad()
def initialise(head: DINOHead, generator: torch.Generator) -> None:
    """Linear maps normal with 0.02, biases zero, prototypes uniform on the sphere."""
    for module in head.mlp:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=INIT_STD, generator=generator)
            nn.init.zeros_(module.bias)
    nn.init.normal_(head.prototypes, generator=generator)
    head.prototypes.copy_(functional.normalize(head.prototypes, dim=-1))
