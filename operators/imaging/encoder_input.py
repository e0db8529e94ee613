"""From a volume to the slices that the encoder takes, as the published image processor prepares them.

The published order for one slice given as a NumPy array: cast to int16, scale by 1/32767, bicubic resize, clamp at
-1000, z-score. The scale makes the clamp inert; `EncoderInputSettings.clip_mode` says which of the two is wanted.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.volume import Volume
from operators.errors import UnsupportedPixelDataError
from operators.imaging.array_module import array_module_of
from operators.imaging.resampling import resize_slices

AIR_HU = -1000.0
"""Where the published processor clamps."""

INT16_MAX = 32767
"""The published processor's scale, and the largest value that its cast leaves alone."""

BLOCK = 16
"""Slices that are worked on together."""

_LPS = {"L": (0, 1), "P": (1, 1), "S": (2, 1), "I": (2, -1)}
"""Letter to LPS component and sign."""

_PLANES = ("LIP", "PIL", "SPL")
"""Where (slice, row, column) point for sagittal, coronal and axial slices, by the LPS component of the slice axis."""


def make_encoder_input(volume: Volume, settings: EncoderInputSettings) -> EncoderInput:
    """Slices ready for the encoder, with the place of their pixels in the patient.

    Raises
    ------
    UnsupportedPixelDataError
        When a value lies outside int16, where the published processor would wrap round.
    """
    oriented = orient_for_encoder(volume)
    depth, size = oriented.geometry.shape[0], settings.image_size
    images = array_module_of(volume.array).xp.empty((depth, 1, size, size), np.float32)
    for block in _blocks(depth):
        images[block, 0] = _resized(oriented.array[block], settings)
    zscore(images[:, 0], settings)
    return EncoderInput(images, oriented.geometry.rescaled((depth, size, size)))


def orient_for_encoder(volume: Volume) -> Volume:
    """The volume with its axes as the encoder was trained on: axial P,L; coronal I,L; sagittal I,P.

    Axes are only swapped and reversed, never interpolated; an oblique volume takes the nearest of the three planes.
    Slices run to S, P or L, the published order.
    """
    slice_component = int(np.argmax(np.abs(volume.geometry.directions[:, 0])))
    letters = _PLANES[slice_component]
    row_component, _ = _LPS[letters[1]]
    along_row_axis, along_column_axis = np.abs(volume.geometry.directions[row_component, 1:])
    if along_row_axis < along_column_axis:
        volume = volume.permuted((0, 2, 1))
    for axis, letter in enumerate(letters):
        component, sign = _LPS[letter]
        if volume.geometry.directions[component, axis] * sign < 0:
            volume = volume.flipped(axis)
    return volume


def zscore(slices: Any, settings: EncoderInputSettings) -> None:
    """(S, P, P) to zero mean and unit (unbiased) standard deviation, in place; a constant image is only centred."""
    if settings.zscore_scope == "slice":
        for block in _blocks(len(slices)):
            _standardise(slices[block], *_statistics(slices[block]), eps=settings.eps)
    else:
        _standardise(slices, *_volume_statistics(slices), eps=settings.eps)


def _statistics(slices: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of each slice, (S, 1, 1) float64."""
    # float64 sums: a float32 mean over 10^7 pixels drifts, and the NumPy and CuPy paths should agree.
    mean = slices.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return mean, slices.std(axis=(1, 2), keepdims=True, dtype=np.float64, ddof=1)


def _volume_statistics(slices: Any) -> tuple[Any, Any]:
    """Mean and standard deviation over all slices, from those of blocks, so that no copy of the volume is made."""
    xp = array_module_of(slices).xp
    num_pixels = slices.shape[1] * slices.shape[2]
    parts = [_statistics(slices[block]) for block in _blocks(len(slices))]
    means, deviations = (xp.concatenate(part) for part in zip(*parts, strict=True))
    squares = (deviations**2).sum() * (num_pixels - 1) + ((means - means.mean()) ** 2).sum() * num_pixels
    return means.mean(), xp.sqrt(squares / (len(slices) * num_pixels - 1))


def _standardise(slices: Any, mean: Any, deviation: Any, *, eps: float) -> None:
    xp = array_module_of(slices).xp
    slices -= mean.astype(np.float32)
    slices /= xp.where(deviation < eps, 1.0, deviation).astype(np.float32)


def _blocks(depth: int) -> Iterator[slice]:
    """A few slices at a time, so that temporary arrays stay small whatever the length of the series."""
    return (slice(start, start + BLOCK) for start in range(0, depth, BLOCK))


def _resized(array: Any, settings: EncoderInputSettings) -> Any:
    xp = array_module_of(array).xp
    largest = float(xp.abs(array).max())
    if not largest <= INT16_MAX:
        raise UnsupportedPixelDataError(
            f"encoder input: expected values within +-{INT16_MAX}, got {largest:g}; check its rescale values"
        )
    if settings.clip_mode == "inert":
        return resize_slices(array.astype(np.float32) / np.float32(INT16_MAX), settings.image_size)
    resized = resize_slices(array, settings.image_size)
    return xp.maximum(resized, np.float32(AIR_HU)) if settings.clip_below_air else resized
