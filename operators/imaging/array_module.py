"""NumPy or CuPy, chosen once; the only file that names CuPy."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.ndimage

from operators.errors import ModelError


@dataclass(frozen=True, slots=True)
class ArrayModule:
    """Where arrays live and the modules that work on them there.

    device : "cpu" or "cuda:N"
    xp : numpy or cupy
    ndimage : scipy.ndimage or cupyx.scipy.ndimage
    """

    device: str
    xp: Any
    ndimage: Any

    def asarray(self, array: Any) -> Any:
        """The array on this device; nothing is copied when it is there already."""
        with self.active():
            return self.xp.asarray(array)

    def active(self) -> AbstractContextManager[Any]:
        """While it is entered, new arrays and launches go to this device."""
        if self.device == "cpu":
            return nullcontext()
        device: AbstractContextManager[Any] = self.xp.cuda.Device(int(self.device.removeprefix("cuda:")))
        return device


CPU = ArrayModule("cpu", np, scipy.ndimage)
"""The reference: every function of this package is defined by what it does here."""


@cache
def _cuda(index: int) -> ArrayModule:
    return ArrayModule(f"cuda:{index}", import_module("cupy"), import_module("cupyx.scipy.ndimage"))


def _num_cuda_devices() -> int:
    # CuPy imports well without a driver (it comes with Holoscan), so only the runtime tells whether a GPU is there.
    if find_spec("cupy") is None:
        return 0
    cuda = import_module("cupy").cuda
    return int(cuda.runtime.getDeviceCount()) if cuda.is_available() else 0


def select_array_module(device: str) -> ArrayModule:
    """The module for *device*: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises
    ------
    ModelError
        When the device that was asked for is not there.
    """
    if device == "cpu" or (device == "auto" and _num_cuda_devices() == 0):
        return CPU
    name = "cuda:0" if device in ("auto", "cuda") else device
    index = name.removeprefix("cuda:")
    if not name.startswith("cuda:") or not index.isdigit():
        raise ModelError(f"device: expected auto, cpu, cuda or cuda:N, got {device!r}")
    if int(index) >= _num_cuda_devices():
        raise ModelError(
            f"device {device}: {_num_cuda_devices()} CUDA devices are usable here; use --device cpu or mend the driver"
        )
    return _cuda(int(index))


def array_module_of(array: Any) -> ArrayModule:
    """The module an array belongs to."""
    return CPU if isinstance(array, np.ndarray) else _cuda(array.device.id)
