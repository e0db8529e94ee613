import numpy as np
import pytest

from operators.errors import ModelError
from operators.imaging.array_module import CPU, array_module_of, select_array_module


def test_the_cpu_is_always_there():
    assert select_array_module("cpu") is CPU
    assert array_module_of(np.zeros(1)) is CPU


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(ModelError, match=r"device cuda:99: \d+ CUDA devices are usable here"):
        select_array_module("cuda:99")


def test_an_unknown_device_is_an_error():
    with pytest.raises(ModelError, match="expected auto, cpu, cuda or cuda:N, got 'tpu'"):
        select_array_module("tpu")


@pytest.mark.gpu
def test_auto_takes_the_gpu():
    module = select_array_module("auto")
    assert module.device == "cuda:0"
    assert array_module_of(module.asarray(np.zeros(3))) is module
