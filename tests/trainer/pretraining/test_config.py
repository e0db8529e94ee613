from pathlib import Path

import pytest
from pydantic import ValidationError

from trainer.pretraining.config import ModelSettings, PretrainingConfig, StageSettings, read_config

MINIMAL = '[data]\nshards = "shards/*.tar"\n'


def test_a_run_needs_no_more_than_its_shards(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(MINIMAL)
    config = read_config(path)
    assert config.data.shards == "shards/*.tar"
    assert [stage.name for stage in config.stages] == ["low", "high"]
    assert PretrainingConfig.model_validate(config.model_dump(mode="json")) == config


def test_stages_come_in_their_order_with_sizes_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        MINIMAL
        + '[crops]\nglobal_size = 64\nlocal_size = 32\n[[stages]]\nname = "one"\nsteps = 5\n'
        + '[[stages]]\nname = "two"\nsteps = 3\nglobal_size = 128\nactivation_checkpointing = true\n'
    )
    config = read_config(path)
    sizes = [(c.crops.global_size, c.crops.local_size) for c in map(config.at_stage, config.stages)]
    assert sizes == [(64, 32), (128, 32)]
    assert [config.at_stage(stage).run.activation_checkpointing for stage in config.stages] == [False, True]
    assert config.at_stage(config.stages[1]).encoder_config.grid_size == 8


@pytest.mark.parametrize(
    ("size", "hidden", "layers", "ffn_width"),
    [("small", 192, 4, 512), ("B", 768, 12, 2048), ("L", 1024, 24, 2736), ("g", 1536, 40, 4096)],
)
def test_sizes_are_the_published_ones(size: str, hidden: int, layers: int, ffn_width: int) -> None:
    config = ModelSettings.model_validate({"size": size}).encoder_config(512)
    assert (config.hidden_size, config.num_hidden_layers, config.ffn_width) == (hidden, layers, ffn_width)
    assert (config.num_channels, config.patch_size, config.grid_size) == (1, 16, 32)


def test_a_field_wins_over_the_size() -> None:
    config = ModelSettings(size="small", num_hidden_layers=6).encoder_config(64)
    assert (config.hidden_size, config.num_hidden_layers) == (192, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[crops]\nsize = 3\n", r"crops\.size: no such setting; there are global_size, global_scale,"),
        ("[crops.content]\nenable = 3\n", r"crops\.content\.enable: no such setting; there are enabled, min_content"),
        (
            '[[stages]]\nname = "a"\nstep = 1\n',
            r"stages\.0\.steps: Field required; stages.0.step: no such .* name, steps",
        ),
        ("[crops]\nflip = 2\n", r"crops\.flip: Input should be less than or equal to 1, got 2"),
        ('[[stages]]\nname = "a"\nsteps = 1\nglobal_size = 100\n', "'a': global_size 100 does not divide by .* 16"),
        ("[masking]\nratio = [0.5, 0.1]\n", r"masking.ratio: expected the smaller one first, got 0.5 and 0.1"),
        ("[losses]\nstudent_temperature = 0.001\n", "student_temperature"),
        ("[losses\n", "line 3"),
    ],
)
def test_mistakes_are_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(MINIMAL + text)
    with pytest.raises(ValueError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"losses": {"distillation": 1.0}}, "guide.weights: expected with losses.distillation"),
        ({"guide": {"weights": "w.safetensors"}}, "guide.weights: expected with losses.distillation"),
        ({"crops": {"global_size": 48}}, "divides by 32, got 16 and 48"),
        ({"model": {"patch_size": 8}}, "patches of 16 and a global_size that divides by 32, got 8"),
    ],
)
def test_a_frozen_network_and_its_weight_belong_together(tables: dict[str, object], message: str) -> None:
    record: dict[str, object] = {"data": {"shards": "none"}, "stages": [{"name": "only", "steps": 1}]}
    if "losses" not in tables and "guide" not in tables:
        record |= {"losses": {"distillation": 1.0}, "guide": {"weights": "w.safetensors"}}
    with pytest.raises(ValidationError, match=message):
        PretrainingConfig.model_validate(record | tables)


def test_stages_are_told_apart() -> None:
    twice = [StageSettings(name="a", steps=1)] * 2
    with pytest.raises(ValueError, match="expected different names"):
        PretrainingConfig.model_validate({"data": {"shards": "x"}, "stages": twice})
    with pytest.raises(ValueError, match="expected at least one"):
        PretrainingConfig.model_validate({"data": {"shards": "x"}, "stages": []})
