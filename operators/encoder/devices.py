"""Which devices the encoder runs on, in which precision, and how many slices fit there."""

from typing import Literal

import torch

from operators.encoder.vision_transformer import EncoderConfig

Precision = Literal["float32", "bfloat16", "float16"]

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

BATCH_ON_CPU = 4
LARGEST_BATCH = 64
"""A GPU of today is busy with fewer slices of 1,025 tokens."""

SHARE_OF_FREE_MEMORY = 0.5
"""For activations; kernels' workspaces, the CUDA graph's pool and the fragments of the allocator take theirs."""


def device_names(setting: str) -> tuple[str, ...]:
    """The names in "cuda:0,cuda:1"; "cuda:all" is every CUDA device there is."""
    if setting == "cuda:all":
        return tuple(f"cuda:{index}" for index in range(max(1, torch.cuda.device_count())))
    return tuple(setting.split(","))


def default_precision(device: torch.device) -> Precision:
    """float32 is the reference; a GPU's matrix units work in bfloat16, whose features agree to a cosine of 0.999."""
    return "float32" if device.type == "cpu" else "bfloat16"


def default_batch_size(config: EncoderConfig, device: torch.device, dtype: torch.dtype) -> int:
    """Slices at a time on a device, from its free memory once the weights are there."""
    if device.type == "cpu":
        return BATCH_ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    # A block holds its input, the normed input, queries, keys and values, their result, and three widths of the FFN.
    widths = 6 * config.hidden_size + 3 * config.ffn_width
    bytes_of_a_slice = (1 + config.grid_size**2) * widths * dtype.itemsize
    return int(min(max(SHARE_OF_FREE_MEMORY * free // bytes_of_a_slice, 1), LARGEST_BATCH))
