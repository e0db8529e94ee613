"""Pre-training the embedded encoder: shards of those who may be shown to it, and one run."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from trainer.demo_model.stacks import Stack, link_stacks
from trainer.demo_model.training_processes import training_processes
from trainer.demo_model.unlabelled_stacks import FILE_RULES
from trainer.ingest.batch import IngestSettings
from trainer.ingest.ingestion import open_ingestion
from trainer.ingest.pseudonyms import KEY_FILE
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.processes import join_processes
from trainer.pretraining.teacher_export import export_teacher
from trainer.pretraining.watching.metrics_log import read_metrics, training_seconds

Counts = dict[str, dict[str, int]]

_WHOLE = 2**40
"""Bytes: everything is one batch of work and one shard, so that the order of its slices is the same everywhere."""


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """A finished training, and what its log tells.

    snapshot : folder
    steps, slices_seen : in all stages; a slice that was seen twice counts twice
    seconds : that its steps took
    signs : losses at its last step, by name
    """

    snapshot: Path
    steps: int
    slices_seen: int
    seconds: float
    signs: dict[str, float]


def ingest_stacks(stacks: Iterable[Stack], work: Path) -> Counts:
    """``work/shards/train/*.tar`` of the stacks; what ingest counted."""
    tree, out = work / "input", work / "shards"
    link_stacks(stacks, tree)
    out.mkdir(parents=True, exist_ok=True)
    # Open data need no secret, and with a known key everybody's shards have the same names.
    (out / KEY_FILE).write_text(hashlib.sha256(b"curia-pacs-demo").hexdigest(), encoding="ascii")
    settings = IngestSettings(out.resolve(), 0.0, FILE_RULES, shard_bytes=_WHOLE)
    with open_ingestion(settings) as ingestion:
        return ingestion.run([tree], workers=1, batch_bytes=_WHOLE, tell=lambda batch, result: None)


def train_encoder(config: PretrainingConfig, guide: Path, work: Path) -> TrainedEncoder:
    """Trained on the shards below *work*. A run that was stopped goes on, one that is finished is only read.

    guide : the frozen network's weights

    Raises
    ------
    StoppedError
        SIGTERM came; the same call goes on.
    FailedError
        The training failed; its log tells why.
    """
    config = config.on_shards(f"{escape(str(work))}/shards/train/*.tar").guided_by(guide)
    run, snapshot = work / "run", work / "snapshot"
    with training_processes() as trainings:
        trainings.start(config, run).result()
    with join_processes():
        export_teacher(run, snapshot)
    steps, rows = sum(stage.steps for stage in config.stages), read_metrics(run)
    return TrainedEncoder(
        snapshot=snapshot,
        steps=steps,
        slices_seen=steps * config.data.batch_size,
        seconds=training_seconds(rows, config.data.batch_size),
        signs=_last_signs(rows),
    )


def _last_signs(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    last = next(row for row in reversed(rows) if "images_per_second" in row)
    return {name: round(value, 3) for name, value in last.items() if name.startswith("loss/")}
