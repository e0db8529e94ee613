"""Pre-training the embedded encoder: shards by part of the patients, a run without each part and a run with all."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from trainer.demo_model.training_processes import training_processes
from trainer.demo_model.unlabelled_stacks import FILE_RULES, Stack, lay_out
from trainer.ingest.batch import IngestSettings
from trainer.ingest.ingestion import open_ingestion
from trainer.ingest.pseudonyms import KEY_FILE
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.processes import join_processes
from trainer.pretraining.teacher_export import export_teacher
from trainer.pretraining.watching.metrics_log import read_metrics, training_seconds

Counts = dict[str, dict[str, int]]

_WHOLE = 2**40
"""Bytes: a part is one batch of work and one shard, so that the order of its slices is the same everywhere."""


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """A finished training, and what its log tells.

    snapshot : folder
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


def train_encoders(config: PretrainingConfig, work: Path, num_parts: int) -> Generator[TrainedEncoder]:
    """Trained on the shards of all parts but each in turn, then on all; while one is looked at, the others go on.

    A run that is finished is only read.

    Raises
    ------
    StoppedError
        SIGTERM came; the same call goes on.
    FailedError
        A training failed; its log tells why.
    """
    runs = {f"without-part-{number}": f"part-[!{number}]" for number in range(num_parts)} | {"all": "part-*"}
    with training_processes() as trainings:
        endings = {
            name: trainings.start(
                config.on_shards(f"{escape(str(work))}/shards/{parts}/train/*.tar"), work / "runs" / name
            )
            for name, parts in runs.items()
        }
        for name, ending in endings.items():
            ending.result()
            yield _finished(config, work / "runs" / name, work / "snapshots" / name)


def _finished(config: PretrainingConfig, run: Path, snapshot: Path) -> TrainedEncoder:
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
    topics = ("loss/", "divergence/", "target_flatness/", "cls_cosine")
    return {name: round(value, 3) for name, value in last.items() if name.startswith(topics)}


def _ingest(tree: Path, out: Path) -> Counts:
    out.mkdir(parents=True, exist_ok=True)
    # Open data need no secret, and with a known key everybody's shards have the same names.
    (out / KEY_FILE).write_text(hashlib.sha256(b"curia-pacs-demo").hexdigest(), encoding="ascii")
    settings = IngestSettings(out.resolve(), 0.0, FILE_RULES, shard_bytes=_WHOLE)
    with open_ingestion(settings) as ingestion:
        return ingestion.run([tree], workers=1, batch_bytes=_WHOLE, tell=lambda batch, result: None)
