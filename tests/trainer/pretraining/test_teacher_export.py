"""From a run to a snapshot, through the run's folder alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from operators.encoder.snapshot import read_snapshot
from operators.encoder.torchvision_schemas import define_missing_schemas
from operators.encoder.vision_transformer import build_vision_transformer
from pretraining_runs import labelled_slices, memory_data, run_config
from trainer.pretraining.checkpoints import TrainingCheckpointError, find_checkpoints
from trainer.pretraining.engine import pretrain, read_student_and_teacher
from trainer.pretraining.model.masked_encoder import MaskedEncoder
from trainer.pretraining.plot import draw_runs
from trainer.pretraining.processes import join_processes
from trainer.pretraining.teacher_export import export_teacher
from trainer.pretraining.watching.metrics_log import JsonLines
from trainer.pretraining.watching.probes import whole_slices


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("run")
    with join_processes(on_gpu=False) as processes:
        data = memory_data(validation=labelled_slices())
        pretrain(run_config(), out, data, processes, [JsonLines(out, last_step=0)])
        yield out


def test_application_and_transformers_see_the_teachers_features(run: Path, tmp_path: Path) -> None:
    define_missing_schemas()
    from transformers import Dinov2Model

    export_teacher(run, tmp_path, dtype=torch.float32)
    config = run_config().at_stage(run_config().stages[1])
    state = read_student_and_teacher(find_checkpoints(run / "checkpoints")[-1], config)
    teacher = MaskedEncoder(config.encoder_config, drop_path=0.0, checkpointing=False).eval()
    prefix = "teacher.encoder."
    teacher.load_state_dict({name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)})
    snapshot = read_snapshot(tmp_path)
    ours = build_vision_transformer(snapshot.config)
    ours.load_state_dict(snapshot.state_dict)
    theirs = Dinov2Model.from_pretrained(tmp_path, dtype=torch.float32).eval()
    images = whole_slices(labelled_slices()[:3], 32)
    with torch.inference_mode():
        expected = teacher(images)
        torch.testing.assert_close(ours.forward_features(images), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(theirs(images).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_half_precision_is_the_default_and_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    assert export_teacher(run, tmp_path / "a") == export_teacher(run, tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").stat().st_size < 80_000


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingCheckpointError, match="expected a run with a whole checkpoint"):
        export_teacher(tmp_path, tmp_path / "out")


def test_curves_are_drawn(run: Path, tmp_path: Path) -> None:
    draw_runs([run], tmp_path / "one.png")
    draw_runs([run, run], tmp_path / "two.png")
    assert (tmp_path / "two.png").stat().st_size > (tmp_path / "one.png").stat().st_size > 10_000
