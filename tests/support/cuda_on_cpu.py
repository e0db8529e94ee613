"""The project's CUDA kernels, compiled by g++ and run on the CPU, behind the face of a CuPy RawModule.

The kernels' source and the code that launches them are the ones that a GPU gets; only CUDA's language is stood in for
(``cuda_headers``). A launch that leaves the shared memory it asked for is an error.
"""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from operators.imaging import kernels

HEADERS = Path(__file__).parent / "cuda_headers"


class CpuKernels:
    """kernels.SOURCE as a shared library in *folder*."""

    def __init__(self, folder: Path) -> None:
        source, library = folder / "kernels.cpp", folder / "kernels.so"
        source.write_text(
            "\n".join(['#include "cuda_on_cpu.h"', kernels.SOURCE, *map(_entry, range(len(kernels.NAMES)))])
        )
        options = ["-std=c++20", "-O1", "-mf16c", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", f"-I{HEADERS}"]
        subprocess.run(["g++", *options, source, "-o", library], check=True, timeout=120)
        self._library = ctypes.CDLL(str(library))

    def get_function(self, name: str) -> "CpuKernel":
        return CpuKernel(self._library[f"kernel_{kernels.NAMES.index(name)}"])


class CpuKernel:
    def __init__(self, function: Any) -> None:
        self._function = function
        self._function.restype = ctypes.c_bool

    def __call__(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: Sequence[Any], *, shared_mem: int
    ) -> None:
        kept = [_in_memory(argument) for argument in arguments]
        places = (ctypes.c_void_p * len(kept))(*(argument.ctypes.data for argument in kept))
        assert block[1:] == (1, 1)
        whole = self._function((ctypes.c_uint * 3)(*grid), ctypes.c_uint(block[0]), ctypes.c_size_t(shared_mem), places)
        assert whole, "a thread wrote beyond the shared memory of its block"


def _in_memory(argument: Any) -> np.ndarray:
    """A scalar's bytes, or an array's address."""
    is_array = isinstance(argument, np.ndarray)
    return np.array([argument.ctypes.data], np.uintp) if is_array else np.array([argument])


def _entry(number: int) -> str:
    return (
        f'extern "C" bool kernel_{number}(const unsigned* grid, unsigned threads, std::size_t shared, void** arguments)'
        f" {{ return launch(&{kernels.NAMES[number]}, grid, threads, shared, arguments); }}"
    )
