"""How long a step of pre-training takes: rows of ``build/bench.json``.

    python tests/benchmarks/bench_pretraining.py [--out build/bench.json]

The rival states DINOv2's step again, plainly: one forward pass for each crop, drop path that computes what it drops,
scores of every patch, an optimiser and a teacher that go parameter by parameter. Ours and the rival's take turns on the
same batch and the same weights. The rows of a GPU need one, and are of whole steps: shards are read and crops made.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS), str(TESTS / "support")]

from benchmarks.side_by_side import Row, compare, row, write_rows  # noqa: E402
from operators.documents import UNFINISHED  # noqa: E402
from slice_cases import body_slice  # noqa: E402
from trainer.ingest.shard_writer import ShardWriter  # noqa: E402
from trainer.pretraining.config import PretrainingConfig, read_config  # noqa: E402
from trainer.pretraining.engine import pretrain  # noqa: E402
from trainer.pretraining.learner import Learner  # noqa: E402
from trainer.pretraining.model.stochastic_depth import StochasticDepthBlock  # noqa: E402
from trainer.pretraining.processes import Processes, join_processes  # noqa: E402
from trainer.pretraining.schedules import StepSettings, build_schedules  # noqa: E402
from trainer.pretraining.shard_data import open_shards  # noqa: E402
from trainer.pretraining.throughput import peak_operations, step_operations  # noqa: E402
from trainer.pretraining.views.crops import CropBatch, make_crops  # noqa: E402
from trainer.pretraining.watching.metrics_log import Metrics  # noqa: E402

CONFIGS = TESTS.parent / "trainer" / "pretraining" / "configs"
STEP = 50
GPU_STEPS = 20
FOR_EVER = 1_000_000
SHARDS, SHARD_SLICES = 4, 128
LEAST_SHARE = 1e-4
"""What the bench file can hold."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    with join_processes() as processes:
        write_rows(_rows(processes), parser.parse_args().out)


def _rows(processes: Processes) -> Iterator[Row]:
    alone = Processes(0, 1, torch.device("cpu"))
    config = read_config(CONFIGS / "demo_cpu.toml")
    for stage in config.stages:
        at_stage = config.at_stage(stage)
        batch = _batch(at_stage, alone.device)
        settings = build_schedules(at_stage, stage, global_batch_size=config.data.batch_size).at(
            min(STEP, stage.steps - 1)
        )
        ours, rival = Learner(at_stage, alone), Learner(at_stage, alone)
        name = f"pre-training step, 192 x 4, {at_stage.crops.global_size} px, {config.data.batch_size} slices"
        yield compare(
            name, _ours(ours, batch, settings), "DINOv2's step, eager", _plain(rival, at_stage, batch, settings)
        )
    if processes.device.type == "cuda":
        yield from _gpu_rows(processes)


def _batch(config: PretrainingConfig, device: torch.device) -> CropBatch:
    samples = [
        body_slice((256, 256), centre=(128, 128), radii=(80, 100), seed=s) for s in range(config.data.batch_size)
    ]
    return make_crops(samples, config, np.random.default_rng(0), device=device)


def _ours(learner: Learner, batch: CropBatch, settings: StepSettings) -> Callable[[], object]:
    return lambda: learner.step(batch, settings)


def _plain(
    learner: Learner, config: PretrainingConfig, batch: CropBatch, settings: StepSettings
) -> Callable[[], object]:
    student, teacher, losses = learner.model.student, learner.model.teacher, config.losses
    rate = config.run.drop_path
    for block in student.encoder.vit.blocks:
        assert isinstance(block, StochasticDepthBlock)
        block.forward = _masking_drop_path(block, rate)  # type: ignore[method-assign]
    optimiser = torch.optim.AdamW(student.parameters(), lr=settings.lr, foreach=False)
    views, count = batch.global_crops.chunk(2), config.data.batch_size

    def step() -> None:
        with torch.no_grad():
            seen = [teacher.encoder(view) for view in views]
            cls_targets = [_sinkhorn(teacher.dino_head(tokens[:, 0]), settings.teacher_temperature) for tokens in seen]
            patches = torch.cat(seen)[:, 1:].flatten(0, 1)
            patch_targets = _sinkhorn(
                teacher.score_patches(patches)[batch.masks.flatten()], settings.teacher_temperature
            )
        masked = [student.encoder(view, mask) for view, mask in zip(views, batch.masks.chunk(2), strict=True)]
        local = [student.encoder(crop) for crop in batch.local_crops.split(count)]
        scores = [student.dino_head(tokens[:, 0]) for tokens in (*masked, *local)]
        terms = [
            _cross_entropy(score, target, losses.student_temperature).mean()
            for view, target in enumerate(cls_targets)
            for crop, score in enumerate(scores)
            if crop != view
        ]
        patch_scores = student.score_patches(torch.cat(masked)[:, 1:].flatten(0, 1))[batch.masks.flatten()]
        patch_terms = _cross_entropy(patch_scores, patch_targets, losses.student_temperature) * batch.mask_weights
        koleo = sum(_koleo(tokens[:, 0]) for tokens in masked)
        total = torch.stack(terms).mean() + patch_terms.sum() / (2 * count) + 0.1 * koleo
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), config.optimiser.clip, foreach=False)
        optimiser.step()
        with torch.no_grad():
            for follower, leader in zip(teacher.parameters(), student.parameters(), strict=True):
                follower.mul_(settings.momentum).add_(leader, alpha=1 - settings.momentum)

    return step


def _masking_drop_path(block: StochasticDepthBlock, rate: float) -> Callable[[Tensor], Tensor]:
    def keep(x: Tensor) -> Tensor:
        return x * (torch.rand(len(x), 1, 1, device=x.device) >= rate) / (1 - rate)

    def forward(x: Tensor) -> Tensor:
        x = x + keep(block.ls1(block.attn(block.norm1(x))))
        return x + keep(block.ls2(block.mlp(block.norm2(x))))

    return forward


def _cross_entropy(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    return -(targets * functional.log_softmax(scores / temperature, dim=-1)).sum(dim=-1)


def _sinkhorn(scores: Tensor, temperature: float) -> Tensor:
    q = (scores.float() / temperature).exp().T
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(dim=1, keepdim=True) * q.shape[0]
        q /= q.sum(dim=0, keepdim=True) * q.shape[1]
    return (q * q.shape[1]).T


def _koleo(cls: Tensor) -> Tensor:
    rows = functional.normalize(cls, dim=-1)
    with torch.no_grad():
        nearest = (rows @ rows.T).fill_diagonal_(-1).argmax(dim=1)
    return -functional.pairwise_distance(rows, rows[nearest]).add(1e-8).log().mean()


class _Measured(Exception):
    """Ends a run that has told what was asked of it."""


class _SecondReport:
    """The figures after the first GPU_STEPS steps, which set up what a run sets up once; ends the run with them."""

    def __init__(self) -> None:
        self.reports: list[Metrics] = []

    def hear(self, step: int, stage: str, metrics: Metrics) -> None:
        self.reports.append(metrics)
        if len(self.reports) == 2:
            raise _Measured


def _whole_steps(config: PretrainingConfig, processes: Processes) -> Metrics:
    """What a run tells of its steps, shards read and crops made beside them, nothing saved or probed.

    config : with one stage
    """
    report = _SecondReport()
    with TemporaryDirectory() as folder:
        _write_shards(Path(folder))
        told = config.model_dump()
        told["data"] |= {"shards": f"{folder}/train/*.tar", "validation_shards": None}
        told["run"] |= {"log_every": GPU_STEPS, "probe_every": FOR_EVER, "checkpoint_every": FOR_EVER}
        config = PretrainingConfig.model_validate(told)
        with suppress(_Measured):
            pretrain(config, Path(folder) / "run", open_shards(config), processes, [report])
    return report.reports[1]


def _write_shards(folder: Path) -> None:
    for shard in range(SHARDS):
        with ShardWriter(folder, "train", f"s{shard}", shard_bytes=2**30) as writer:
            for number in range(SHARD_SLICES):
                body = body_slice((512, 512), centre=(256, 256), radii=(160, 200), seed=number)
                writer.write(replace(body, key=f"{shard}-{number}"))
        name = writer.records[0].name
        (folder / f"{name}{UNFINISHED}").rename(folder / name)


def _gpu_rows(processes: Processes) -> Iterator[Row]:
    """ViT-L at both stages: seconds of a step beside those that the GPU's peak allows, so the ratio is the MFU."""
    config = read_config(CONFIGS / "curia2_l.toml")
    device, peak = torch.cuda.get_device_name(processes.device), peak_operations(processes.device)
    for stage in config.stages:
        torch.cuda.reset_peak_memory_stats(processes.device)
        figures = _whole_steps(config.model_copy(update={"stages": (stage,)}), processes)
        size, slices = stage.global_size, config.data.batch_size
        memory = torch.cuda.max_memory_allocated(processes.device) / 2**30
        detail = f"mean of {GPU_STEPS} steps of a run, reading and multi-crop included, {memory:.0f} GiB at most"
        if peak is not None:
            yield row(
                f"pre-training step, ViT-L, {size} px, {slices} slices",
                slices / figures["images_per_second"],
                "the GPU's bf16 peak",
                step_operations(config.at_stage(stage)) * slices / peak,
                detail=f"{detail}; the ratio is the MFU",
                device=device,
            )
        waited = max(figures["data_wait"], LEAST_SHARE)
        name = f"share of time spent waiting for crops, ViT-L, {size} px"
        yield row(name, waited, "the goal", 0.05, detail=detail, unit="of the time", device=device)


if __name__ == "__main__":
    main()
