from pathlib import Path

import pytest

from operators.encoder.vision_transformer import EncoderConfig
from trainer.pretraining.config import read_config

CONFIGS = Path(__file__).parents[3] / "trainer" / "pretraining" / "configs"


@pytest.mark.parametrize(
    ("name", "width", "depth", "ffn_width"),
    [
        ("curia2_b", 768, 12, 2048),
        ("curia2_l", 1024, 24, 2736),
        ("curia2_g", 1536, 40, 4096),
        ("demo_cpu", 192, 4, 512),
        ("embedded", 192, 4, 512),
    ],
)
def test_shipped_settings_are_the_models_they_name(name: str, width: int, depth: int, ffn_width: int) -> None:
    config = read_config(CONFIGS / f"{name}.toml")
    encoder: EncoderConfig = config.at_stage(config.stages[-1]).encoder_config
    assert (encoder.hidden_size, encoder.num_hidden_layers, encoder.ffn_width) == (width, depth, ffn_width)
    assert (encoder.patch_size, encoder.num_channels, encoder.use_swiglu_ffn) == (16, 1, True)
    if name != "demo_cpu":
        assert encoder.image_size == 512
