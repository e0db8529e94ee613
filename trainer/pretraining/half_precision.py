"""Whether a device computes in half precision, or only pretends to."""

import torch

_UNITS = ("avx512_bf16", "amx_bf16", "bf16")
"""Of a processor, as PyTorch names them; the last one is Arm's."""


def has_bfloat16_units(device: torch.device) -> bool:
    """A processor without them emulates bfloat16, and a step takes many times as long as in float32."""
    if device.type != "cpu":
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(unit, False) for unit in _UNITS)
