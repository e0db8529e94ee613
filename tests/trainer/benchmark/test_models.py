from pathlib import Path

import pytest

from encoder_cases import TINY, write_random_snapshot
from trainer.benchmark.models import model_specs, open_spec
from trainer.features.slice_models import untrained_model
from trainer.pretraining.config import read_config
from trainer.pretraining.model.masked_encoder import start_weights

DEMO_MODEL = Path(__file__).parents[3] / "app/demo_model"
EMBEDDED = Path(__file__).parents[3] / "trainer/pretraining/configs/embedded.toml"


def test_what_is_built_in_has_the_first_folders_architecture(tmp_path: Path) -> None:
    folder = str(write_random_snapshot(TINY, tmp_path / "model"))
    trained, *others = model_specs([folder, "before-training", "random", "place", "pixels"], device="cpu")
    assert {spec.like for spec in others} == {TINY}
    assert len({open_spec(spec).key for spec in (trained, *others)}) == 5
    assert [open_spec(spec).name for spec in others] == ["before-training", "random", "place", "pixels"]


def test_before_training_has_the_weights_that_the_training_began_with(tmp_path: Path) -> None:
    folder = str(write_random_snapshot(TINY, tmp_path / "model"))
    _, spec = model_specs([folder, "before-training"], device="cpu")
    assert (spec.initial, spec.seed) == ("truncated-normal", 0)
    expected = untrained_model(
        "x", TINY, start_weights(TINY, "truncated-normal", seed=0, first_size=TINY.image_size), device="cpu"
    )
    assert open_spec(spec).key == expected.key


def test_how_the_embedded_models_training_began_is_read_from_its_settings() -> None:
    _, spec = model_specs([str(DEMO_MODEL), "before-training"], device="cpu")
    assert (spec.initial, spec.first_size) == ("random-features", 128)
    start = start_weights(spec.like, read_config(EMBEDDED).model.initial, seed=spec.seed, first_size=128)
    assert open_spec(spec).key == untrained_model("x", spec.like, start, device="cpu").key


def test_without_a_folder_there_is_no_training_to_be_before() -> None:
    with pytest.raises(ValueError, match="--model before-training: expected a model folder"):
        model_specs(["pixels", "before-training"], device="cpu")
