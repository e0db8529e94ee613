"""Features that nothing was learned for; what a probe makes of them is what training has to beat."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.features.pixel_statistics import patch_statistics, places


def place_tokens(images: Tensor, *, patch_size: int) -> Tensor:
    """(n, 1 + N, 5) where each patch lies, the image unseen.

    images : (n, 1, S, S); only its size counts
    """
    side = images.shape[-1] // patch_size
    return _with_mean(np.tile(places(side, side), (len(images), 1, 1)))


def pixel_tokens(images: Tensor, *, patch_size: int) -> Tensor:
    """(n, 1 + N, 9) statistics of each patch's pixels."""
    return _with_mean(patch_statistics(images[:, 0].numpy(), patch_size))


def _with_mean(tokens: NDArray[np.float32]) -> Tensor:
    """The mean over an image's patches in CLS's place."""
    return torch.from_numpy(np.concatenate([tokens.mean(axis=1, keepdims=True), tokens], axis=1))
