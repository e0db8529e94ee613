"""The commands as one starts them, on shards on disk; what they say when something is amiss."""

import errno
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pretraining_runs import labelled_slices
from trainer.__main__ import app
from trainer.pretraining.commands import RESOURCES, SETTINGS
from trainer.pretraining.ingest.shard_writer import PART, ShardWriter
from trainer.pretraining.metrics_log import JsonLines, read_metrics

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
        (folder / f"{record.name}{PART}").rename(folder / record.name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a run on sixteen slices, all of them to train on."""
    write_split(tmp_path, "train")
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


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
    hear = JsonLines.hear

    def full(log: JsonLines, step: int, stage: str, metrics: dict[str, float]) -> None:
        if step == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        hear(log, step, stage, metrics)

    arguments = ["pretrain", "--config", str(config), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patched:
        patched.setattr(JsonLines, "hear", full)
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == RESOURCES
    assert "No space left on device); the last whole checkpoint is step-000000002. " in result.output
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
    assert "data.shard\n" in result.output
    assert not (tmp_path / "run").exists()
