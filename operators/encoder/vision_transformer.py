"""Curia-2's architecture: a ViT with CLS and learned positions, SwiGLU, layer scale and a final norm."""

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from operators.encoder.torchvision_schemas import define_missing_schemas


class EncoderConfig(BaseModel):
    """What a snapshot's config.json says about the architecture; names and defaults are Hugging Face's Dinov2Config.

    image_size, patch_size : pixels along both sides; only square inputs and patches
    mlp_ratio : hidden width of the plain MLP over hidden_size; SwiGLU takes two thirds of it
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: int = Field(768, gt=0)
    num_hidden_layers: int = Field(12, gt=0)
    num_attention_heads: int = Field(12, gt=0)
    mlp_ratio: float = Field(4.0, gt=0)
    hidden_act: str = "gelu"
    use_swiglu_ffn: bool = False
    layerscale_value: float = 1.0
    patch_size: int = Field(14, gt=0)
    num_channels: int = Field(3, gt=0)
    image_size: int = Field(224, gt=0)
    layer_norm_eps: float = Field(1e-6, gt=0)
    qkv_bias: bool = True

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size {self.hidden_size} does not divide by {self.num_attention_heads} heads")
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} does not divide by patch_size {self.patch_size}")
        if not self.use_swiglu_ffn and self.hidden_act != "gelu":
            raise ValueError(f"hidden_act: expected 'gelu' for the plain MLP, got {self.hidden_act!r}")
        return self

    @property
    def grid_size(self) -> int:
        """Tokens along each side."""
        return self.image_size // self.patch_size

    @property
    def ffn_width(self) -> int:
        """Width between the two linear maps of the feed-forward part: 2048, 2736, 4096 for SwiGLU at B, L, g."""
        width = int(self.hidden_size * self.mlp_ratio)
        return (int(width * 2 / 3) + 7) // 8 * 8 if self.use_swiglu_ffn else width


def build_vision_transformer(config: EncoderConfig) -> torch.nn.Module:
    """The model with weights as torch leaves them; its ``forward_features`` gives (B, 1 + N, D), CLS first."""
    define_missing_schemas()
    from timm.layers import Mlp, SwiGLUPacked
    from timm.models.vision_transformer import VisionTransformer

    first_width = 2 * config.ffn_width if config.use_swiglu_ffn else config.ffn_width
    model: Any = VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        in_chans=config.num_channels,
        num_classes=0,
        global_pool="token",
        embed_dim=config.hidden_size,
        depth=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        # timm truncates hidden_size * mlp_ratio; the half keeps the product above the whole number we mean.
        mlp_ratio=(first_width + 0.5) / config.hidden_size,
        qkv_bias=config.qkv_bias,
        init_values=config.layerscale_value,
        norm_layer=lambda width, **where: torch.nn.LayerNorm(width, eps=config.layer_norm_eps, **where),
        mlp_layer=SwiGLUPacked if config.use_swiglu_ffn else Mlp,
        # timm hands its own default, GELU, to SwiGLUPacked too.
        act_layer=torch.nn.SiLU if config.use_swiglu_ffn else torch.nn.GELU,
        weight_init="skip",
    )
    return model.eval()  # type: ignore[no-any-return]


def encode_images(model: Any, images: torch.Tensor, *, blocks: int = 0) -> torch.Tensor:
    """(B, C, P, P) to (B, 1 + N, (1 + blocks) D): the last block's output after the final norm, CLS first.

    blocks : so many last blocks' outputs before the norm stand beside it, the last block's first. The published
        heads for volumes read these, all others what comes after the norm.
    """
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(images)))
    before_norm: list[torch.Tensor] = []
    for number, block in enumerate(model.blocks, start=1):
        tokens = block(tokens)
        if number > len(model.blocks) - blocks:
            before_norm.insert(0, tokens)
    normed: torch.Tensor = model.norm(tokens)
    return torch.cat([normed, *before_norm], dim=-1) if before_norm else normed


def interpolate_positions(table: torch.Tensor, grid_size: int) -> torch.Tensor:
    """(1, 1 + M, D) positions of a square grid to (1, 1 + grid_size ** 2, D), by Hugging Face's rule.

    Bicubic to the size, without antialiasing and without DINOv2's offset of 0.1 (Dinov2Embeddings of transformers);
    timm's own rule gives other numbers.
    """
    old, width = int((table.shape[1] - 1) ** 0.5), table.shape[2]
    if old == grid_size:
        return table
    square = table[:, 1:].float().reshape(1, old, old, width).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(square, size=(grid_size, grid_size), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], resized.permute(0, 2, 3, 1).reshape(1, -1, width).to(table.dtype)], dim=1)
