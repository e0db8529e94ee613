"""The names of the encoder's tensors in the snapshots people have, and in our model.

Four namings of the same tensors: Hugging Face as transformers 4 wrote it (the published snapshots), as
transformers 5 writes it, the original DINOv2 with or without block chunks, and timm's, which is ours.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from operators.errors import CheckpointError

_PREFIX = re.compile(r"^(?:(?:teacher|student|module|backbone|dinov2|dino)\.)+")
_OUTSIDE_THE_ENCODER = re.compile(r"^(?:mask_token$|dino_head\.|ibot_head\.|classifier\.|attention_module\.)")

# In this order: the block's place first, then the names inside a block.
_RENAMINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^embeddings\.(cls_token|mask_token|register_tokens)$", r"\1"),
        (r"^embeddings\.position_embeddings$", "pos_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
        (r"^layernorm\.", "norm."),
        (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
        # With block chunks the second number already counts through all blocks.
        (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),
        (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
        (r"\.attention\.q_proj\.", ".attn.query."),
        (r"\.attention\.k_proj\.", ".attn.key."),
        (r"\.attention\.v_proj\.", ".attn.value."),
        (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
        (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
        (r"\.mlp\.gate_proj\.", ".mlp.gate."),
        (r"\.mlp\.up_proj\.", ".mlp.up."),
        (r"\.mlp\.(?:weights_in|w12)\.", ".mlp.fc1."),
        (r"\.mlp\.(?:weights_out|w3|down_proj)\.", ".mlp.fc2."),
    )
)

# One tensor of ours is these, one below the other. The gate rows go through SiLU and come first.
_JOINED = {".attn.qkv.": (".attn.query.", ".attn.key.", ".attn.value."), ".mlp.fc1.": (".mlp.gate.", ".mlp.up.")}

_LEGACY_RENAMINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
        (r"^norm\.", "layernorm."),
        (r"^blocks\.(\d+)\.", r"encoder.layer.\1."),
        (r"\.attn\.(query|key|value)\.", r".attention.attention.\1."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    )
)


def to_our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under any of the known namings to timm's names; what lies outside the encoder is left out.

    A name that no rule knows stays as it is, for the strict check to refuse.

    Raises
    ------
    CheckpointError
        Two tensors claim one place (say, teacher and student in one file), or a part of one is missing.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = _rename(_PREFIX.sub("", name), _RENAMINGS)
        if _OUTSIDE_THE_ENCODER.match(ours):
            continue
        if ours in renamed:
            raise CheckpointError(f"tensor {name!r}: a second one for {ours!r}; keep one network in the file")
        renamed[ours] = tensor
    return _join_parts(renamed)


def to_legacy_names(state: Mapping[str, Tensor], *, use_swiglu_ffn: bool) -> dict[str, Tensor]:
    """Our tensors to the names in the published snapshots (Hugging Face, transformers 4)."""
    legacy: dict[str, Tensor] = {}
    for name, tensor in _split_attention(state).items():
        if use_swiglu_ffn:
            name = name.replace(".mlp.fc1.", ".mlp.weights_in.").replace(".mlp.fc2.", ".mlp.weights_out.")
        legacy[_rename(name, _LEGACY_RENAMINGS)] = tensor.contiguous()
    return legacy


def _rename(name: str, renamings: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in renamings:
        name = pattern.sub(replacement, name)
    return name


def _join_parts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    joined: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole, parts = _whole_of(name)
        if whole == name:
            joined[name] = tensor
        elif whole not in joined:
            missing = [part for part in parts if part not in tensors]
            if missing:
                raise CheckpointError(f"tensor {missing[0]!r}: missing beside {name!r}; the snapshot is incomplete")
            joined[whole] = torch.cat([tensors[part] for part in parts])
    return joined


def _whole_of(name: str) -> tuple[str, tuple[str, ...]]:
    """The tensor that *name* is a part of, and all its parts; a whole tensor is its own only part."""
    for whole, parts in _JOINED.items():
        for part in parts:
            if part in name:
                return name.replace(part, whole), tuple(name.replace(part, other) for other in parts)
    return name, (name,)


def _split_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    split: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            for part, rows in zip(_JOINED[".attn.qkv."], tensor.chunk(3), strict=True):
                split[name.replace(".attn.qkv.", part)] = rows
        else:
            split[name] = tensor
    return split
