"""Pre-training the embedded encoder: shards by part of the patients, a run without each part and a run with all."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from trainer.pretraining.commands import train_and_tell
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.engine import Ending
from trainer.pretraining.ingest.batch import IngestSettings
from trainer.pretraining.ingest.ingestion import open_ingestion
from trainer.pretraining.ingest.pseudonyms import KEY_FILE
from trainer.pretraining.metrics_log import read_metrics
from trainer.pretraining.processes import join_processes
from trainer.pretraining.teacher_export import export_teacher
from trainer.unlabelled_stacks import NIFTI_RULES, Stack, lay_out

Counts = dict[str, dict[str, int]]

_WHOLE = 2**40
"""Bytes: a part is one batch of work and one shard, so that the order of its slices is the same everywhere."""


class StoppedError(Exception):
    """A run was stopped by SIGTERM; the same command goes on from its checkpoint."""


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """snapshot : folder
    steps, slices_seen : in all stages; a slice that was seen twice counts twice
    seconds : that its steps took
    signs : losses and what else the run told at its last step, by name
    """

    snapshot: Path
    steps: int
    slices_seen: int
    seconds: float
    signs: dict[str, float]


def ingest_parts(stacks: Sequence[Stack], parts: Sequence[frozenset[str]], work: Path) -> Counts:
    """``work/shards/part-K/train/*.tar`` of each part's patients; what ingest counted, over all parts."""
    total: Counts = {}
    for number, patients in enumerate(parts):
        tree, out = work / f"input/part-{number}", work / f"shards/part-{number}"
        lay_out((stack for stack in stacks if stack.patient in patients), tree)
        for topic, counts in _ingest(tree, out).items():
            for value, count in counts.items():
                total.setdefault(topic, {}).setdefault(value, 0)
                total[topic][value] += count
    return total


def train_encoder(config: PretrainingConfig, work: Path, *, without: int | None = None) -> TrainedEncoder:
    """Train on the shards of all parts, or of all but one; a run that is finished is only read.

    Raises
    ------
    StoppedError
        SIGTERM came.
    """
    name, parts = ("all", "part-*") if without is None else (f"without-part-{without}", f"part-[!{without}]")
    run, snapshot = work / "runs" / name, work / "snapshots" / name
    shards = f"{escape(str(work))}/shards/{parts}/train/*.tar"
    data = config.data.model_copy(update={"shards": shards, "validation_shards": None})
    config = config.model_copy(update={"data": data})
    with join_processes() as processes:
        if train_and_tell(config, run, processes) is Ending.STOPPED:
            raise StoppedError(f"{run}: stopped after a checkpoint; the same command with the same --work goes on")
        export_teacher(run, snapshot)
    steps, rows = sum(stage.steps for stage in config.stages), read_metrics(run)
    return TrainedEncoder(
        snapshot=snapshot,
        steps=steps,
        slices_seen=steps * config.data.batch_size,
        seconds=training_seconds(rows, config.data.batch_size),
        signs=_last_signs(rows),
    )


def training_seconds(rows: Sequence[dict[str, float]], batch_size: int) -> float:
    """From the rates in a run's log, so that it counts no pause between a stop and the resumption.

    rows : of metrics.jsonl, one process's
    """
    seconds, done = 0.0, 0.0
    for row in rows:
        if "images_per_second" in row:
            seconds += (row["step"] - done) * batch_size / row["images_per_second"]
            done = row["step"]
    return seconds


def _last_signs(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    last = next(row for row in reversed(rows) if "images_per_second" in row)
    topics = ("loss/", "divergence/", "target_flatness/", "cls_cosine")
    return {name: round(value, 3) for name, value in last.items() if name.startswith(topics)}


def _ingest(tree: Path, out: Path) -> Counts:
    out.mkdir(parents=True, exist_ok=True)
    # Open data need no secret, and with a known key everybody's shards have the same names.
    (out / KEY_FILE).write_text(hashlib.sha256(b"curia-pacs-demo").hexdigest(), encoding="ascii")
    settings = IngestSettings(out.resolve(), 0.0, NIFTI_RULES, shard_bytes=_WHOLE)
    with open_ingestion(settings) as ingestion:
        return ingestion.run([tree], workers=1, batch_bytes=_WHOLE, tell=lambda batch, result: None)
