"""A place where the CUDA kernels run: compiled by g++ everywhere, on the GPU where there is one."""

from collections.abc import Callable
from typing import Any

import pytest

from cuda_on_cpu import CpuKernels
from operators.imaging import kernels
from operators.imaging.array_module import CPU, select_array_module


@pytest.fixture(scope="session")
def cpu_kernels(tmp_path_factory: pytest.TempPathFactory) -> CpuKernels:
    return CpuKernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=["g++", pytest.param("cuda", marks=pytest.mark.gpu)])
def to_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Takes NumPy arrays to where the kernels run."""
    if request.param == "cuda":
        return select_array_module("cuda").asarray
    cpu_kernels = request.getfixturevalue("cpu_kernels")
    monkeypatch.setattr(kernels, "compiled", lambda module: cpu_kernels)
    return CPU.asarray


@pytest.fixture
def to_host() -> Callable[[Any], Any]:
    """Takes CuPy arrays, NumPy arrays and tensors to NumPy."""
    return lambda array: (
        array.get() if hasattr(array, "get") else array.cpu().numpy() if hasattr(array, "cpu") else array
    )
