"""CT as a window shows it: values beyond it are lost, those inside it stay HU."""

import torch
from torch import Tensor

MIN_INSIDE = 0.3
"""Share of the pixels inside the window; a lung under a soft tissue window would be black all over."""


def clamp_to_windows(crops: Tensor, low_hu: Tensor, high_hu: Tensor) -> Tensor:
    """Clamp each of (n, 1, S, S) crops to a range of its own, unless too little of it lies in there.

    low_hu, high_hu : (n,)
    """
    low, high = low_hu[:, None, None, None], high_hu[:, None, None, None]
    inside = ((crops > low) & (crops < high)).float().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(inside < MIN_INSIDE, crops, crops.maximum(low).minimum(high))
