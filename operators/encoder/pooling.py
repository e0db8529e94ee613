"""Features summed up: the mean of each slice's tokens, and the mean over a region of interest."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from operators.domain.features import FeatureVolume
from operators.errors import InputError

MASK_THRESHOLD = 0.5


def mean_pooled(features: FeatureVolume) -> NDArray[np.float32]:
    """(S, D): the mean of the patch tokens of each slice."""
    return np.concatenate([tokens.mean(axis=1) for _, tokens in features.token_blocks()])


def roi_pooled(features: FeatureVolume, mask: Any, *, patch_size: int) -> NDArray[np.float32]:
    """(D,): the mean of all patch tokens under a mask, as the published heads take it for a slice.

    mask : (S, H, W), bool or 0..1, its slices those of the features: of a mask on the source's grid, what
        `operators.imaging.encoder_input.orient_for_encoder` makes of it
    patch_size : pixels of the encoder's input along a token

    Raises
    ------
    InputError
        The mask is empty, or so small that the published resize, which does not antialias, steps over it.
    """
    covered = tokens_under_mask(features, mask, patch_size=patch_size)
    total = np.zeros(features.cls.shape[1], np.float64)
    for place, tokens in features.token_blocks():
        total += tokens[covered[place]].sum(axis=0, dtype=np.float64)
    return np.asarray(total / covered.sum(), np.float32)


def tokens_under_mask(features: FeatureVolume, mask: Any, *, patch_size: int) -> NDArray[np.bool_]:
    """(S, N): tokens that a mask touches, by the rule of the published heads (modeling_dinov2.py).

    The mask is resized bilinearly to the encoder's input and cut at 0.5, or at half its maximum where nothing is
    above that; a token counts as soon as one of its pixels lies in it. See `roi_pooled` for arguments and errors.
    """
    strongest = _strongest(features, mask, patch_size)
    highest = strongest.max()
    return np.asarray(strongest > (MASK_THRESHOLD if highest > MASK_THRESHOLD else highest / 2))


def tokens_under_slice_masks(features: FeatureVolume, mask: Any, *, patch_size: int) -> NDArray[np.bool_]:
    """(S, N): the same where each slice has a mask of its own, cut by its own maximum; slices without one have none.

    As the published heads for single slices see a series; see `roi_pooled` for arguments and errors.
    """
    strongest = _strongest(features, mask, patch_size)
    highest = strongest.max(axis=1, keepdims=True)
    return np.asarray((strongest > np.where(highest > MASK_THRESHOLD, MASK_THRESHOLD, highest / 2)) & (highest > 0))


def _strongest(features: FeatureVolume, mask: Any, patch_size: int) -> NDArray[np.float32]:
    """(S, N): the largest value of the resized mask in each patch."""
    slices, rows, columns = features.geometry.shape
    if len(mask) != slices:
        raise ValueError(f"mask: expected one slice for each of the features' {slices}, got {len(mask)}")
    size = (rows * patch_size, columns * patch_size)
    strongest = np.concatenate(
        [_strongest_of_patches(mask[k : k + 1], size, patch_size) for k in range(slices)]
    ).reshape(slices, rows * columns)
    if not strongest.max() > 0:
        raise InputError(
            f"region of interest: nothing of the mask is left at the encoder's {size[0]} x {size[1]} pixels; "
            "draw a larger region"
        )
    return strongest


def _strongest_of_patches(mask: Any, size: tuple[int, int], patch_size: int) -> NDArray[np.float32]:
    """(1, H, W) to (1, rows, columns): the largest value in each patch of the resized mask."""
    tensor = torch.from_numpy(np.ascontiguousarray(mask, np.float32))[:, None]
    resized = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)
    return np.asarray(torch.nn.functional.max_pool2d(resized, patch_size)[:, 0].numpy())
