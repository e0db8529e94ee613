"""Another contrast of the same tissues, in MR's free unit: a power law between the darkest and the brightest."""

from torch import Tensor


def apply_gamma(crops: Tensor, exponent: Tensor) -> Tensor:
    """(n, 1, S, S) crops with their range kept and the values in it bent by *exponent* (n,)."""
    low, high = crops.amin(dim=(1, 2, 3), keepdim=True), crops.amax(dim=(1, 2, 3), keepdim=True)
    span = (high - low).clamp(min=1e-6)
    return low + span * ((crops - low) / span) ** exponent[:, None, None, None]
