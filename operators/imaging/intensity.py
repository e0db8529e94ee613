"""Values, not places: stored pixels to physical values, and these to a range; on NumPy or CuPy."""

from typing import Any

import numpy as np

from operators.imaging.array_module import array_module_of

AIR_HU = -1000.0


def rescale(pixels: Any, slope: float, intercept: float) -> Any:
    """Stored values to physical ones, float32 (PS3.3 C.11.1.1.2)."""
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def clamp(values: Any, low: float, high: float) -> Any:
    """Values below *low* become *low*, values above *high* become *high*."""
    return array_module_of(values).xp.clip(values, low, high)


def window(values: Any, centre: float, width: float) -> Any:
    """Values of a window to 0..1, as DICOM's LINEAR function shows them (PS3.3 C.11.2.1.2.1).

    width : at least 1; the darkest value is at centre - 0.5 - (width - 1) / 2
    """
    if width < 1:
        raise ValueError(f"window: expected a width of at least 1, got {width}")
    if width == 1:
        return (values > centre - 0.5).astype(np.float32)
    return clamp(((values - (centre - 0.5)) / (width - 1) + 0.5).astype(np.float32), 0.0, 1.0)
