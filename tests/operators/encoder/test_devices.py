import pytest
import torch

from encoder_cases import CURIA_2_B, CURIA_2_G
from operators.encoder.devices import LARGEST_BATCH, default_batch_size, default_precision, device_names

CUDA = torch.device("cuda", 0)
GIGABYTE = 10**9


@pytest.mark.parametrize(
    ("setting", "names"), [("auto", ("auto",)), ("cpu", ("cpu",)), ("cuda:1,cuda:0", ("cuda:1", "cuda:0"))]
)
def test_devices_are_listed_in_the_order_given(setting: str, names: tuple[str, ...]) -> None:
    assert device_names(setting) == names


def test_a_cpu_is_exact_and_a_gpu_is_fast() -> None:
    assert default_precision(torch.device("cpu")) == "float32"
    assert default_precision(CUDA) == "bfloat16"


@pytest.mark.parametrize(("config", "free", "expected"), [(CURIA_2_B, 80, LARGEST_BATCH), (CURIA_2_G, 2, 22)])
def test_the_batch_fits_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, config: object, free: int, expected: int
) -> None:
    """g at 512 pixels: 1,025 tokens, 6 x 1,536 + 3 x 4,096 values of two bytes each, in half of the free memory."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free * GIGABYTE, 80 * GIGABYTE))
    assert default_batch_size(config, CUDA, torch.bfloat16) == expected


def test_one_slice_is_tried_however_little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 80 * GIGABYTE))
    assert default_batch_size(CURIA_2_G, CUDA, torch.bfloat16) == 1
