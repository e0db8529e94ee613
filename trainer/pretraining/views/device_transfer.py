"""From the host to the device without waiting for it."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A host's tensor on *device*.

    A GPU takes it from pinned memory: a larger copy from any other would wait until the GPU has done all that it was
    asked for before, whatever `non_blocking` says.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
