"""Crops as a network for photographs takes them: three channels from -1 to 1."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.pretraining.data.samples import SliceSample

WINDOWS_HU = ((-160.0, 240.0), (-1000.0, 200.0), (-500.0, 1300.0))
"""Soft tissue, lung and bone, a channel each."""

SHARES = (0.01, 0.995)
"""Shares of the pixels below black, and below white, where values are no HU."""

_STRIDE = 4
"""Every fourth row and column tell the shares as well as all do."""


def guide_images(crops: Tensor, samples: Sequence[SliceSample]) -> Tensor:
    """(n, 1, S, S) crops in their own unit, the slice of each, to (n, 3, S, S)."""
    is_hu = torch.tensor([sample.values == "HU" for sample in samples], device=crops.device)[:, None, None, None]
    low, high = (torch.tensor(ends, device=crops.device)[None, :, None, None] for ends in zip(*WINDOWS_HU, strict=True))
    shares = torch.tensor(SHARES, device=crops.device)
    black, white = crops[..., ::_STRIDE, ::_STRIDE].flatten(1).quantile(shares, dim=1)[..., None, None, None]
    low, high = torch.where(is_hu, low, black), torch.where(is_hu, high, torch.maximum(white, black + 1e-3))
    return ((crops - low) / (high - low)).clamp(0.0, 1.0) * 2.0 - 1.0
