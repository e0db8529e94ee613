"""From files to a snapshot: shards, one run, the same bytes in any folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from operators.encoder.snapshot import read_snapshot
from phantoms import SeriesSpec, build_datasets, save_series
from slice_cases import tiny_config
from trainer.demo_model.builder import GUIDE
from trainer.demo_model.embedded_encoder import TrainedEncoder, ingest_stacks, train_encoder
from trainer.demo_model.stacks import Stack
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.shards import read_shards

PATIENTS = ("a", "b", "c")
SLICES = 4


def run_config() -> PretrainingConfig:
    """A run that distils, too; the frozen network asks for patches of 16 and sizes of 32 pixels."""
    return tiny_config(
        data={"batch_size": 4, "workers": 0},
        model={"patch_size": 16},
        losses={"distillation": 1.0, "reconstruction": 0.5},
        guide={"weights": "set by the builder"},
        stages=[{"name": "only", "steps": 3}],
        run={"precision": "fp32", "log_every": 2},
    )


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    """Patients whose pixels tell them apart: their rows are as many as their place in the alphabet."""
    found = []
    for number, patient in enumerate(PATIENTS):
        folder = tmp_path_factory.mktemp(patient)
        spec = replace(SeriesSpec(), shape=(SLICES, 40 + number, 48), patient_id=patient, study=patient)
        save_series(build_datasets(spec), folder)
        found.append(Stack(patient, "CT", tuple(sorted(folder.iterdir()))))
    return found


@pytest.fixture(scope="module")
def work(stacks: list[Stack], tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("work")
    assert ingest_stacks(stacks[:2], work)["slices"] == {"train": SLICES * 2}
    return work


@pytest.fixture(scope="module")
def trained(work: Path) -> TrainedEncoder:
    return train_encoder(run_config(), GUIDE, work)


def test_the_shards_hold_the_slices_of_those_who_are_shown(work: Path) -> None:
    samples = list(read_shards(f"{work}/shards/train/*.tar"))
    assert {len(sample.pixels) for sample in samples} == {40, 41}
    assert {sample.values for sample in samples} == {"HU"}


def test_a_run_in_another_folder_gives_the_same_bytes(
    trained: TrainedEncoder, stacks: list[Stack], tmp_path: Path
) -> None:
    assert (trained.steps, trained.slices_seen) == (3, 12)
    assert {"loss/distillation", "loss/reconstruction"} <= trained.signs.keys()
    ingest_stacks(stacks[:2], tmp_path)
    again = train_encoder(run_config(), GUIDE, tmp_path)
    assert read_snapshot(again.snapshot).sha256 == read_snapshot(trained.snapshot).sha256


def test_what_is_done_is_not_done_again(trained: TrainedEncoder, stacks: list[Stack], work: Path) -> None:
    log = work / "run/metrics.jsonl"
    written = log.read_text()
    for shard in work.glob("shards/train/*.tar"):
        shard.chmod(0o444)
    ingest_stacks(stacks[:2], work)
    assert train_encoder(run_config(), GUIDE, work) == trained
    assert log.read_text() == written
