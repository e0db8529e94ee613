from pathlib import Path

import numpy as np
import pytest
import torch

from operators.encoder.vision_transformer import EncoderConfig
from slice_cases import body_slice
from trainer.pretraining.config import read_config
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.views.crops import make_crops

CONFIGS = Path(__file__).parents[3] / "trainer" / "pretraining" / "configs"


@pytest.mark.parametrize(
    ("name", "width", "depth", "ffn_width"),
    [
        ("curia2_b", 768, 12, 2048),
        ("curia2_l", 1024, 24, 2736),
        ("curia2_g", 1536, 40, 4096),
        ("demo_cpu", 192, 4, 512),
        ("embedded", 256, 4, 688),
        ("five_losses", 256, 4, 688),
        ("ablation", 192, 4, 512),
    ],
)
def test_shipped_settings_are_the_models_they_name(name: str, width: int, depth: int, ffn_width: int) -> None:
    config = read_config(CONFIGS / f"{name}.toml")
    encoder: EncoderConfig = config.at_stage(config.stages[-1]).encoder_config
    assert (encoder.hidden_size, encoder.num_hidden_layers, encoder.ffn_width) == (width, depth, ffn_width)
    assert (encoder.patch_size, encoder.num_channels, encoder.use_swiglu_ffn) == (16, 1, True)
    if name not in ("demo_cpu", "five_losses", "ablation"):
        assert encoder.image_size == 512


@pytest.mark.parametrize("name", ["demo_cpu", "ablation"])
def test_the_small_recipes_ask_for_something_from_the_first_step(name: str) -> None:
    """Targets that begin nearly flat go flat: views that agree by r ask for r T_student / T_teacher of themselves."""
    config = read_config(CONFIGS / f"{name}.toml")
    config = config.at_stage(config.stages[0])
    samples = [
        body_slice((96, 128), centre=(40 + 3 * k, 50 + 4 * k), radii=(15 + 4 * k, 45 - 3 * k), seed=k) for k in range(8)
    ]
    batch = make_crops(samples, config, np.random.default_rng(0))
    step = build_schedules(config, config.stages[0], global_batch_size=len(samples)).at(0)
    with torch.no_grad():
        signs = StudentTeacher(config).judge(batch, step).signs
    assert signs["target_flatness/dino"] < 0.975
    assert signs["target_flatness/ibot"] < 0.85
