"""The pixels of masked patches from the student's tokens, as SimMIM asks for them (Xie et al. 2022)."""

from torch import Tensor
from torch.nn import functional


def reconstruction_loss(pixels: Tensor, crops: Tensor, masks: Tensor) -> Tensor:
    """Mean Huber distance (its knee at 1) over the pixels of the masked patches; 0 where none is masked.

    pixels : (n, N, P * P) answers, the pixels of each patch row by row
    crops : (n, 1, S, S), z-scored
    masks : (n, N) bool
    """
    true = patches_of(crops, patch_size=round(pixels.shape[2] ** 0.5))
    distance = functional.smooth_l1_loss(pixels.float(), true.float(), reduction="none").mean(dim=2)
    return (distance * masks).sum() / masks.sum().clamp(min=1)


def patches_of(crops: Tensor, *, patch_size: int) -> Tensor:
    """(n, 1, S, S) to (n, N, P * P), patches and their pixels row by row."""
    return functional.pixel_unshuffle(crops, patch_size).flatten(2).mT
