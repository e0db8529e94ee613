"""The encoder as pre-training needs it: mask tokens, crops of two sizes, stochastic depth, activation checkpoints.

Inside is the very model that the application runs (`operators.encoder`); what is added here is left out of an export.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from operators.encoder.vision_transformer import EncoderConfig, build_vision_transformer, interpolate_positions
from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.pretraining.config import Initial
from trainer.pretraining.model.position_table import hand_over
from trainer.pretraining.model.stochastic_depth import StochasticDepthBlock

INIT_STD = 0.02

CLS_SHARE = 0.25
"""What the CLS token of random features is multiplied by; at nothing the first norm would blow its gradient up a
thousandfold."""


class MaskedEncoder(nn.Module):
    """The encoder with masked tokens, drop path and crops of several sizes.

    vit : the model of the snapshot, its blocks wrapped, its parameters under timm's names
    mask_token : (1, 1, D), stands for a hidden patch before its position is added
    """

    def __init__(self, config: EncoderConfig, *, drop_path: float, checkpointing: bool) -> None:
        super().__init__()
        vit: Any = build_vision_transformer(config)
        for index, block in enumerate(vit.blocks):
            vit.blocks[index] = StochasticDepthBlock(block, drop_path)
        self.vit = vit
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.checkpointing = checkpointing
        self.train()

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Tokens after the final norm.

        images : (B, 1, S, S), S any multiple of the patch size
        masks : (B, N) bool, True where the mask token takes the patch's place

        Returns
        -------
        (B, 1 + N, D), CLS first.
        """
        patches = self.vit.patch_embed.proj(images)  # (B, D, S/P, S/P)
        grid = patches.shape[-1]
        x = patches.flatten(2).mT  # (B, N, D)
        if masks is not None:
            x = torch.where(masks[..., None], self.mask_token.to(x.dtype), x)
        x = torch.cat([self.vit.cls_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        x = x + interpolate_positions(self.vit.pos_embed, grid).to(x.dtype)
        for block in self.vit.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.vit.norm(x)  # type: ignore[no-any-return]

    def snapshot_state(self) -> Mapping[str, Tensor]:
        """Under timm's names, as `trainer.export.write_snapshot` takes them; the mask token stays behind."""
        return self.vit.state_dict()  # type: ignore[no-any-return]


@torch.no_grad()
def initialise(encoder: MaskedEncoder, generator: torch.Generator) -> None:
    """DINOv2's: linear maps and positions normal with 0.02, cut off at 2; CLS nearly, biases and mask token all zero.

    The patch embedding is drawn as torch does, uniform within one over the square root of the patch's pixels. Layer
    scales keep the value they were built with, norms are the identity.
    """
    vit = encoder.vit
    for module in vit.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=INIT_STD, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    bound = vit.patch_embed.proj.weight[0].numel() ** -0.5
    nn.init.uniform_(vit.patch_embed.proj.weight, -bound, bound, generator=generator)
    nn.init.uniform_(vit.patch_embed.proj.bias, -bound, bound, generator=generator)
    nn.init.trunc_normal_(vit.pos_embed, std=INIT_STD, generator=generator)
    nn.init.normal_(vit.cls_token, std=1e-6, generator=generator)
    nn.init.zeros_(encoder.mask_token)


def start_weights(config: EncoderConfig, initial: Initial, *, seed: int, first_size: int) -> Mapping[str, Tensor]:
    """What a pre-training begins with, as a snapshot has it, of the architecture and on the grid of *config*.

    first_size : pixels of its first stage, for which it draws: the same seed gives another encoder for another size
    """
    first = config.model_copy(update={"image_size": first_size})
    encoder = MaskedEncoder(first, drop_path=0.0, checkpointing=False)
    initialise(encoder, torch.Generator().manual_seed(seed))
    if initial == "random-features":
        take_random_features(encoder, first, seed=seed)
    return hand_over(encoder.snapshot_state(), config.grid_size)


@torch.no_grad()
def take_random_features(encoder: MaskedEncoder, config: EncoderConfig, *, seed: int) -> None:
    """Another start, for a training too short to find filters and places by itself: `trainer.features`' random encoder.

    Smooth random filters, a position table of waves, blocks that keep a token's variance. What all tokens have in
    common there is left out and CLS begins small: either would drown what tells one slice's CLS from another's.
    """
    drawn = RandomEncoderSettings(seed=seed, bias_gain=0.0, block_gain=config.layerscale_value)
    encoder.vit.load_state_dict(random_state(config, drawn))
    encoder.vit.cls_token.mul_(CLS_SHARE)
