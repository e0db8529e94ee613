"""Whole runs of a tiny model: resuming, stopping, trouble."""

import os
import resource
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from operators.encoder.vision_transformer import interpolate_positions
from pretraining_runs import HIGH, LOW, MemoryBatches, labelled_slices, memory_data, run_config
from trainer.pretraining.checkpoints import Checkpoints, TrainingCheckpointError, find_checkpoints
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.engine import DivergedError, Ending, RunData, last_record, pretrain, read_student_and_teacher
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.watching.metrics_log import JsonLines, read_metrics


@pytest.fixture(scope="module")
def alone() -> Iterator[Processes]:
    torch.set_num_threads(1)
    with join_processes(on_gpu=False) as processes:
        yield processes


def train(config: PretrainingConfig, out: Path, processes: Processes, data: RunData | None = None) -> Ending:
    out.mkdir(exist_ok=True)
    record = last_record(out)
    log = JsonLines(out, last_step=record.total if record else 0)
    return pretrain(config, out, data or memory_data(), processes, [log])


def weights(out: Path, config: PretrainingConfig) -> dict[str, Tensor]:
    last = find_checkpoints(out / "checkpoints")[-1]
    record = last_record(out)
    assert record is not None
    return read_student_and_teacher(last, config.at_stage(config.stages[record.stage]))


class StopsAfter(MemoryBatches):
    """Sends this process SIGTERM with its fifth batch."""

    batch = 0

    def __next__(self) -> list[SliceSample]:
        self.batch += 1
        if self.batch == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__next__()


def losses(out: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["loss/total"]) for row in read_metrics(out) if "loss/total" in row]


@pytest.fixture(scope="module")
def whole_run(alone: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert train(run_config(), out, alone) is Ending.FINISHED
    return out


def test_a_run_goes_through_its_stages_and_learns(whole_run: Path) -> None:
    record = last_record(whole_run)
    assert record is not None
    assert (record.stage, record.step, record.total) == (1, 4, 10)
    assert [row["step"] for row in read_metrics(whole_run) if "lr" in row] == list(range(1, 11))
    assert weights(whole_run, run_config())["teacher.encoder.vit.pos_embed"].shape[1] == 1 + 4 * 4
    assert [path.name for path in find_checkpoints(whole_run / "checkpoints")] == [
        "step-000000006",
        "step-000000008",
        "step-000000010",
    ]


def test_sigterm_saves_and_the_run_goes_on_to_the_bit(whole_run: Path, alone: Processes, tmp_path: Path) -> None:
    config = run_config()
    assert train(config, tmp_path, alone, RunData(StopsAfter)) is Ending.STOPPED
    stopped = last_record(tmp_path)
    assert stopped is not None
    assert stopped.total < 10
    assert train(config, tmp_path, alone) is Ending.FINISHED
    assert losses(tmp_path) == losses(whole_run)
    expected = weights(whole_run, config)
    for name, tensor in weights(tmp_path, config).items():
        assert torch.equal(tensor, expected[name]), name


def test_what_is_kept_is_measured_alike_by_a_run_that_was_stopped(alone: Processes, tmp_path: Path) -> None:
    config = run_config(model={"initial": "random-features"}, losses={"retention": 1.0})
    assert train(config, tmp_path / "stopped", alone, RunData(StopsAfter)) is Ending.STOPPED
    for run in ("stopped", "whole"):
        assert train(config, tmp_path / run, alone) is Ending.FINISHED
    expected = weights(tmp_path / "whole", config)
    assert expected["student.retention.batches"].item() == 10
    for name, tensor in weights(tmp_path / "stopped", config).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_finished_run_stays_as_it_is(whole_run: Path, alone: Processes) -> None:
    before = losses(whole_run)
    assert train(run_config(), whole_run, alone) is Ending.FINISHED
    assert losses(whole_run) == before


def test_the_next_stage_begins_with_the_interpolated_position_table(alone: Processes, tmp_path: Path) -> None:
    """At a learning rate of nothing, the second stage changes the grid only, up to rounding in the teacher's update."""
    config = run_config(optimiser={"lr": 1e-30, "min_lr": 0.0})
    train(config, tmp_path, alone)
    first, last = (
        read_student_and_teacher(tmp_path / "checkpoints" / f"step-{total:09d}", config.at_stage(stage))
        for total, stage in ((6, config.stages[0]), (10, config.stages[1]))
    )
    for name, tensor in last.items():
        expected = interpolate_positions(first[name], 4) if name.endswith("pos_embed") else first[name]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-6, msg=name)


def test_other_settings_are_refused(whole_run: Path, alone: Processes) -> None:
    with pytest.raises(ValueError, match=r"optimiser.lr was 0.01, is 0.02"):
        train(run_config(optimiser={"lr": 2e-2}), whole_run, alone)
    with pytest.raises(ValueError, match=r"other settings: stages.1.steps was 6, is 7. Choose"):
        train(run_config(stages=[{**LOW, "steps": 7}, HIGH]), whole_run, alone)
    with pytest.raises(ValueError, match=r"stages.1.name was low, is high; .*stages.2.name was high, is low"):
        train(run_config(stages=[HIGH, LOW]), whole_run, alone)


def poison(crops: Tensor, samples: Sequence[SliceSample], rng: np.random.Generator) -> Tensor:
    return crops * float("nan")


def test_gradients_that_are_not_finite_end_the_run_with_the_last_good_checkpoint(
    alone: Processes, tmp_path: Path
) -> None:
    config = run_config(run={"max_skipped": 2})
    train(config, tmp_path, alone, RunData(StopsAfter))
    good, steps = weights(tmp_path, config), last_record(tmp_path)
    with pytest.raises(DivergedError, match=r"not finite in 3 steps in a row.*last checkpoint is step-0000000"):
        train(config, tmp_path, alone, memory_data(augment=poison))
    assert last_record(tmp_path) == steps
    for name, tensor in weights(tmp_path, config).items():
        assert torch.equal(tensor, good[name])
    assert train(config, tmp_path, alone) is Ending.FINISHED


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint_whole(alone: Processes, tmp_path: Path) -> None:
    config = run_config()

    class FillsTheDisk(MemoryBatches):
        def __init__(self, *opened: Any) -> None:
            super().__init__(*opened)
            if opened[-1] is not None:  # The second stage goes on from the first one's state.
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(TrainingCheckpointError, match=r"step-.*could not be written.*whole one is step-000000006"):
            train(config, tmp_path, alone, RunData(FillsTheDisk))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "checkpoints").glob("*.part"))
    (tmp_path / "checkpoints/step-000000007.part").mkdir()  # As a run leaves it that is killed.
    assert train(config, tmp_path, alone) is Ending.FINISHED
    assert not list((tmp_path / "checkpoints").glob("*.part"))


def test_training_goes_on_while_a_checkpoint_is_written(
    alone: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one, of step 2, gets its name only when step 3 is told."""
    third, publish = threading.Event(), Checkpoints._publish

    class Hears:
        def hear(self, step: int, stage: str, metrics: Mapping[str, float]) -> None:
            if step == 3:
                third.set()

    def publish_after_the_third(checkpoints: Checkpoints, name: str) -> None:
        assert third.wait(timeout=60)
        publish(checkpoints, name)

    monkeypatch.setattr(Checkpoints, "_publish", publish_after_the_third)
    assert pretrain(run_config(), tmp_path, memory_data(), alone, [Hears()]) is Ending.FINISHED


def test_data_that_ends_is_an_error(alone: Processes, tmp_path: Path) -> None:
    class Ends(MemoryBatches):
        def __next__(self) -> list[SliceSample]:
            raise StopIteration

    with pytest.raises(RuntimeError, match="ended before step 0"):
        train(run_config(), tmp_path, alone, RunData(Ends))


def test_probes_and_usage_are_told(alone: Processes, tmp_path: Path) -> None:
    config = run_config(run={"probe_every": 3}, stages=[{"name": "only", "steps": 3}])
    train(config, tmp_path, alone, memory_data(validation=labelled_slices()))
    rows = read_metrics(tmp_path)
    probed = [row for row in rows if "knn/region" in row]
    assert [row["step"] for row in probed] == [3]
    assert all(0.0 <= row["data_wait"] <= 1.0 and row["images_per_second"] > 0 for row in rows if "data_wait" in row)


def test_checkpointed_activations_change_nothing(alone: Processes, tmp_path: Path) -> None:
    first: Mapping[str, object] = {"checkpoint_every": 100, "drop_path": 0.3}
    stages = [{"name": "only", "steps": 2}]
    results = []
    for name, checkpointing in (("plain", False), ("checkpointed", True)):
        config = run_config(run={**first, "activation_checkpointing": checkpointing}, stages=stages)
        train(config, tmp_path / name, alone)
        results.append(losses(tmp_path / name))
    assert results[0] == results[1]
