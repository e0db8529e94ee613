"""Whether a device computes in bfloat16."""

import pytest
import torch

from trainer.pretraining.half_precision import has_bfloat16_units


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"bf16": True}, True),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_a_processor_has_the_units_that_it_names(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert has_bfloat16_units(torch.device("cpu")) is expected
    assert has_bfloat16_units(torch.device("cuda:0"))
