"""The commands as one starts them, on shards on disk; what they say when something is amiss."""

import errno
import shutil
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from operators.documents import UNFINISHED
from pretraining_runs import labelled_slices
from trainer.__main__ import app
from trainer.ingest.shard_writer import ShardWriter
from trainer.pretraining.folder_lock import only_writer
from trainer.pretraining.run import RESOURCES, SETTINGS
from trainer.pretraining.watching.metrics_log import JsonLines, read_metrics

CONFIG = """
[data]
shards = "{folder}/train/*.tar"
validation_shards = "{folder}/validation/*.tar"
workers = 1
batch_size = 4
[model]
hidden_size = 24
num_hidden_layers = 1
num_attention_heads = 3
patch_size = 8
[crops]
num_local = 1
[losses]
prototypes = 20
head_hidden_dim = 16
head_bottleneck_dim = 8
sigreg_projections = 8
[[stages]]
name = "only"
steps = 4
global_size = 16
local_size = 8
[run]
precision = "fp32"
checkpoint_every = 2
log_every = 1
"""


def write_split(folder: Path, split: str) -> None:
    with ShardWriter(folder, split, "s", shard_bytes=2**30) as writer:
        for sample in labelled_slices():
            writer.write(sample)
    for record in writer.records:
        (folder / f"{record.name}{UNFINISHED}").rename(folder / record.name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a run on sixteen slices, all of them to train on."""
    write_split(tmp_path, "train")
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def start(config: Path, out: Path) -> str:
    """What the run has printed."""
    result = CliRunner().invoke(app, ["pretrain", "--config", str(config), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return result.output


def losses(out: Path) -> list[float]:
    return [row["loss/total"] for row in read_metrics(out) if "loss/total" in row]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_shards_goes_on_to_the_bit(config: Path, tmp_path: Path, precision: str) -> None:
    """With threads that decode, augmentations and drop path; the cut is a lost checkpoint."""
    config.write_text(config.read_text().replace('"fp32"', f'"{precision}"'))
    start(config, tmp_path / "run")
    whole = losses(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-000000004")
    start(config, tmp_path / "run")
    assert len(whole) == 4
    assert losses(tmp_path / "run") == whole


def test_a_folder_that_another_process_trains_into_is_left_alone(config: Path, tmp_path: Path) -> None:
    with only_writer(tmp_path / "run"):
        result = CliRunner().invoke(app, ["pretrain", "--config", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == SETTINGS
    assert "another process writes to it" in result.output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    start(config, tmp_path / "run")


def test_half_precision_computes_what_full_precision_does_and_is_told_of_where_it_is_emulated(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    start(config, tmp_path / "full")
    assert "run.precision" not in caplog.text
    config.write_text(config.read_text().replace('"fp32"', '"bf16"'))
    start(config, tmp_path / "half")
    assert "run.precision: this processor has no units for bf16" in caplog.text
    assert losses(tmp_path / "half") != losses(tmp_path / "full")
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "full"), rel=0.02)


def test_tensorboard_and_the_bar_show_what_the_log_holds(config: Path, tmp_path: Path) -> None:
    assert "4/4" in start(config, tmp_path / "run")
    board = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss/total")] == [1, 2, 3, 4]
    assert [event.value for event in board.Scalars("loss/total")] == pytest.approx(losses(tmp_path / "run"))
    assert {"images_per_second", "data_wait", "crops_rejected"} <= set(board.Tags()["scalars"])


def test_without_validation_patients_a_run_goes_without_probes_and_says_so(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = CliRunner().invoke(app, ["pretrain", "--config", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "data.validation_shards" in caplog.text
    assert "holds 0 slices" in caplog.text
    assert "left out" in caplog.text
    assert not any("knn/region" in row for row in read_metrics(tmp_path / "run"))


def test_validation_patients_are_probed_and_nothing_is_said(
    config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_split(tmp_path, "validation")
    result = CliRunner().invoke(app, ["pretrain", "--config", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "data.validation_shards" not in caplog.text
    assert 0.0 <= read_metrics(tmp_path / "run")[-1]["knn/region"] <= 1.0


def test_a_disk_that_takes_no_line_of_the_log_ends_the_run_as_a_full_one(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear, first = JsonLines.hear, tmp_path / "run/checkpoints/step-000000002"

    def full(log: JsonLines, step: int, stage: str, metrics: dict[str, float]) -> None:
        if step == 4:
            until = time.monotonic() + 60
            while not first.exists() and time.monotonic() < until:
                time.sleep(0.01)
            raise OSError(errno.ENOSPC, "No space left on device")
        hear(log, step, stage, metrics)

    arguments = ["pretrain", "--config", str(config), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patched:
        patched.setattr(JsonLines, "hear", full)
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == RESOURCES
    assert f"{tmp_path / 'run'}: [Errno 28] No space left on device; make room" in result.output
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert [row["step"] for row in read_metrics(tmp_path / "run") if "lr" in row] == [1, 2, 3, 4]


def test_a_folder_without_a_run_has_nothing_to_plot(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(tmp_path / "x.png")])
    assert result.exit_code == SETTINGS
    assert "expected a run's metrics.jsonl, found none" in result.output


def test_a_picture_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    JsonLines(tmp_path, last_step=0).hear(1, "only", {"loss/total": 1.0})
    picture = tmp_path / "x.xyz"
    result = CliRunner().invoke(app, ["plot", str(tmp_path), "--out", str(picture)])
    assert result.exit_code == SETTINGS
    assert f"--out {picture}: Format 'xyz' is not supported" in result.output


@pytest.mark.parametrize("words", [["--slurm"], []])
def test_settings_are_read_before_anything_else(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[data]\nshard = 'x'\n")
    arguments = ["pretrain", "--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run"), *words]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == SETTINGS
    assert "data.shards: Field required; data.shard: no such setting; there are shards," in result.output
    assert not (tmp_path / "run").exists()
