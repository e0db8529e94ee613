"""From the student's tokens to the features of a frozen network, by one linear map for patches and one for CLS."""

import torch
from torch import Tensor, nn

from trainer.pretraining.model.guide import TOKEN_WIDTH, WHOLE_WIDTH, GuideFeatures

INIT_STD = 0.02


class GuidedMaps(nn.Module):
    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.of_patches = nn.Linear(embed_dim, TOKEN_WIDTH)
        self.of_cls = nn.Linear(embed_dim, WHOLE_WIDTH)

    def forward(self, tokens: Tensor) -> GuideFeatures:
        """The features that (n, 1 + N, D) tokens, CLS first, answer with."""
        return GuideFeatures(self.of_patches(tokens[:, 1:]), self.of_cls(tokens[:, 0]))


@torch.no_grad()
def initialise(linear: nn.Linear, generator: torch.Generator) -> None:
    """Normal with 0.02, biases zero."""
    nn.init.trunc_normal_(linear.weight, std=INIT_STD, generator=generator)
    nn.init.zeros_(linear.bias)
