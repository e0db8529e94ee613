"""From files to snapshots: shards by part, a run for each, the same bytes in any folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from operators.encoder.snapshot import read_snapshot
from phantoms import SeriesSpec, build_datasets, save_series
from slice_cases import tiny_config
from trainer.demo_model.embedded_encoder import TrainedEncoder, ingest_parts, train_encoders
from trainer.demo_model.unlabelled_stacks import Stack
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.shards import read_shards

PATIENTS = ("a", "b", "c")
PARTS = (frozenset("ac"), frozenset("b"))
SLICES = 4


def run_config() -> PretrainingConfig:
    return tiny_config(
        data={"batch_size": 4, "workers": 0},
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
    assert ingest_parts(stacks, PARTS, work)["slices"] == {"train": SLICES * len(PATIENTS)}
    return work


def test_a_part_holds_the_slices_of_its_patients(work: Path) -> None:
    rows = [{len(s.pixels) for s in read_shards(f"{work}/shards/part-{k}/train/*.tar")} for k in (0, 1)]
    assert rows == [{40, 42}, {41}]


@pytest.fixture(scope="module")
def trained(work: Path) -> list[TrainedEncoder]:
    return list(train_encoders(run_config(), work, len(PARTS)))


def test_a_run_without_a_part_never_opens_it(
    trained: list[TrainedEncoder], stacks: list[Stack], tmp_path: Path
) -> None:
    """Ingested alone, the other part gives the same weights to the byte: in another folder, at another time."""
    assert {(encoder.steps, encoder.slices_seen) for encoder in trained} == {(3, 12)}
    ingest_parts(stacks, [PARTS[1]], tmp_path)
    (alone,) = train_encoders(run_config(), tmp_path, 0)
    without_first, _, of_all = (read_snapshot(encoder.snapshot).sha256 for encoder in trained)
    assert read_snapshot(alone.snapshot).sha256 == without_first != of_all


def test_what_is_done_is_not_done_again(trained: list[TrainedEncoder], stacks: list[Stack], work: Path) -> None:
    log = work / "runs/without-part-0/metrics.jsonl"
    written = log.read_text()
    for shard in work.glob("shards/*/train/*.tar"):
        shard.chmod(0o444)
    ingest_parts(stacks, PARTS, work)
    assert list(train_encoders(run_config(), work, len(PARTS))) == trained
    assert log.read_text() == written
