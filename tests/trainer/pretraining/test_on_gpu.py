"""What only a GPU shows: a run on it, and that a step does not wait for it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pretraining_runs import labelled_slices, memory_data, run_config
from slice_cases import joined_batch, tiny_config
from trainer.pretraining.augmentations.augmentation import IntensityAndPlacing
from trainer.pretraining.engine import Ending, last_record, pretrain
from trainer.pretraining.learner import Learner
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.watching.metrics_log import JsonLines, read_metrics

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> Iterator[Processes]:
    with join_processes(on_gpu=True) as processes:
        yield processes


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_goes_through_its_stages_and_is_probed(gpu: Processes, tmp_path: Path, checkpointing: bool) -> None:
    config = run_config(run={"precision": "bf16", "probe_every": 3, "activation_checkpointing": checkpointing})
    data = memory_data(validation=labelled_slices(), augment=IntensityAndPlacing(config.augmentation))
    assert pretrain(config, tmp_path, data, gpu, [JsonLines(tmp_path, last_step=0)]) is Ending.FINISHED
    rows = [row for row in read_metrics(tmp_path) if "loss/total" in row]
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert all(np.isfinite(row["loss/total"]) and row["skipped"] == 0 for row in rows)
    record = last_record(tmp_path)
    assert record is not None
    assert record.total == 10


@pytest.mark.parametrize("loss", ["dino", "ibot"])
def test_a_head_without_a_loss_is_no_trouble(gpu: Processes, loss: str) -> None:
    config = tiny_config(losses={loss: 0.0})
    settings = build_schedules(config, config.stages[0], global_batch_size=4).at(20)
    assert Learner(config, gpu).step(joined_batch(config).to(gpu.device), settings).finite


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_losses_and_gradients_do_not_wait(gpu: Processes) -> None:
    config = tiny_config(run={"drop_path": 0.3, "activation_checkpointing": True})
    settings = build_schedules(config, config.stages[0], global_batch_size=4).at(20)
    learner, batch = Learner(config, gpu), joined_batch(config).to(gpu.device)
    learner.step(batch, settings)
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            total = learner.model.judge(batch, settings).losses["total"]
        total.backward()  # type: ignore[no-untyped-call]
    finally:
        torch.cuda.set_sync_debug_mode("default")
