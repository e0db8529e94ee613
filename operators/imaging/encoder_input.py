"""From a volume to the slices that the encoder takes, as the published image processor prepares them.

The published order for one slice given as a NumPy array: cast to int16, scale by 1/32767, bicubic resize, clamp at
-1000, z-score. The scale makes the clamp inert; `EncoderInputSettings.clip_mode` says which of the two is wanted.
"""

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
    slices = _resized(oriented.array, settings)
    size = settings.image_size
    geometry = oriented.geometry.rescaled((slices.shape[0], size, size))
    return EncoderInput(zscore(slices, settings)[:, None], geometry)


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


def zscore(slices: Any, settings: EncoderInputSettings) -> Any:
    """(S, P, P) to zero mean and unit (unbiased) standard deviation; a constant image is only centred."""
    axes = (1, 2) if settings.zscore_scope == "slice" else (0, 1, 2)
    xp = array_module_of(slices).xp
    # float64 sums: a float32 mean over 10^7 pixels drifts, and the NumPy and CuPy paths should agree.
    mean = slices.mean(axis=axes, keepdims=True, dtype=np.float64)
    deviation = slices.std(axis=axes, keepdims=True, dtype=np.float64, ddof=1)
    scale = xp.where(deviation < settings.eps, 1.0, deviation)
    return ((slices - mean.astype(np.float32)) / scale.astype(np.float32)).astype(np.float32, copy=False)


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
