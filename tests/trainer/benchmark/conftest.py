from pathlib import Path

import pytest

from operators.encoder.vision_transformer import EncoderConfig
from pack_cases import made_pack
from trainer.features.slice_models import SliceModel, pixel_model

TINY_INPUT = EncoderConfig(hidden_size=12, num_attention_heads=2, patch_size=4, num_channels=1, image_size=32)


@pytest.fixture
def pixels() -> SliceModel:
    """Statistics of 8 x 8 patches of 4 pixels."""
    return pixel_model(TINY_INPUT)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    made_pack(tmp_path / "data" / "made")
    return tmp_path / "data" / "made"
