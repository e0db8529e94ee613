"""Boxes of slices to crops of one size: cropped, then resized with an antialiased cubic kernel, one way or the other.

`resample_each` is the quicker one on a CPU, which skips the kernel's zeros. `resample_together` is two matrix products
for all slices of a batch, which a GPU does without waiting for the host. They agree within float error.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.device_transfer import to_device


def resample_each(slices: Sequence[Tensor], boxes: Sequence[CropBox], size: int) -> Tensor:
    """(n, 1, size, size) float32 of (H, W) slices of any size, one box each."""
    crops = torch.empty(len(boxes), 1, size, size)
    for crop, pixels, box in zip(crops, slices, boxes, strict=True):
        cut = pixels[box.top : box.top + box.height, box.left : box.left + box.width].to(torch.float32)
        resized = functional.interpolate(cut[None, None], (size, size), mode="bicubic", antialias=True)
        crop.copy_(resized[0].flip(-1) if box.flipped else resized[0])
    return crops


def resample_together(slices: Tensor, boxes: Sequence[CropBox], size: int) -> Tensor:
    """(n, 1, size, size) float32 of (n, H, W) slices, one box each, where the slices are."""
    _, height, width = slices.shape
    places = torch.tensor([[box.top, box.height, box.left, box.width] for box in boxes], dtype=torch.float32)
    flipped = torch.tensor([box.flipped for box in boxes])
    places, flipped = (to_device(host, slices.device) for host in (places, flipped))
    rows = _weights(places[:, 0], places[:, 1], size=size, extent=height)
    columns = _weights(places[:, 2], places[:, 3], size=size, extent=width)
    columns = torch.where(flipped[:, None, None], columns.flip(1), columns)
    return (rows @ slices.to(torch.float32) @ columns.mT)[:, None]


def padded_stack(slices: Sequence[Tensor]) -> Tensor:
    """(n, H, W) of slices of different sizes: zeros below and to the right, which no box reaches."""
    height, width = (max(pixels.shape[axis] for pixels in slices) for axis in (0, 1))
    stacked = slices[0].new_zeros(len(slices), height, width)
    for target, pixels in zip(stacked, slices, strict=True):
        target[: pixels.shape[0], : pixels.shape[1]] = pixels
    return stacked


def _weights(starts: Tensor, lengths: Tensor, *, size: int, extent: int) -> Tensor:
    """(n, size, extent), rows that sum to 1: what each input pixel adds to each output pixel."""
    steps = (lengths / size)[:, None, None]
    outputs = torch.arange(size, device=starts.device)[None, :, None] + 0.5
    inputs = torch.arange(extent, device=starts.device)[None, None, :] + 0.5
    offsets = inputs - starts[:, None, None]
    weights = _cubic((offsets - outputs * steps) / steps.clamp(min=1.0))
    weights = weights * ((offsets > 0) & (offsets < lengths[:, None, None]))
    return weights / weights.sum(dim=-1, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5, as Pillow and torch take it where they antialias."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))
