"""``python -m trainer ingest``, as one sees it in a terminal."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from trainer.ingest.batch import IngestSettings
from trainer.ingest.estimate import Estimate, Survey, estimate_apart, survey_folders
from trainer.ingest.found_volumes import FileRule
from trainer.ingest.ingestion import Batch, Ingestion, open_ingestion
from trainer.ingest.journal import MANIFEST_FILE, STATISTICS_FILE, BatchResult
from trainer.ingest.reader_messages import silence_readers

_MIB = 2**20

_OPTIONS = {"NIfTI": "--nifti", "picture": "--pictures"}

INPUT_PER_SHARD = 2
"""Bytes of input to a byte of shards, about: a batch should fill one shard."""

BATCHES_PER_WORKER = 4
"""Batches of a small input, which is divided further so that every worker has something to do."""


def ingest(
    trees: Sequence[Path],
    out: Path,
    *,
    validation_share: float,
    nifti: Sequence[str],
    pictures: Sequence[str],
    workers: int,
    shard_mib: int,
    console: Console,
) -> None:
    """Survey, estimate, work and count, each told on the console."""
    silence_readers()
    rules = (
        *(parse_file_rule(words, kind="NIfTI") for words in nifti),
        *(parse_file_rule(words, kind="picture") for words in pictures),
    )
    settings = IngestSettings(out.resolve(), validation_share, rules, shard_mib * _MIB)
    with open_ingestion(settings) as ingestion:
        survey = survey_folders(ingestion.folders_to_do(trees))
        _print_survey(survey, console)
        if survey.num_files:
            expected = estimate_apart(survey, settings, ingestion.pseudonyms)
            _print_estimate(survey, expected, settings, workers, console)
        counts = _run(ingestion, trees, survey, workers, console)
    _print_counts(counts, console)
    console.print(f"{out / MANIFEST_FILE} lists the shards, {out / STATISTICS_FILE} what they hold.", soft_wrap=True)
    if "train" not in counts.get("slices", {}):
        why = (
            "all patients fell into the validation part; begin another --out with --validation-share 0 if they are few"
            if "slices" in counts
            else "no slice was taken, for the reasons above"
        )
        console.print(f"There is nothing to train on: {why}.", style="bold red", soft_wrap=True)


def parse_file_rule(words: str, *, kind: Literal["NIfTI", "picture"]) -> FileRule:
    """``CT=*_ct.nii.gz`` to a rule.

    Raises
    ------
    ValueError
        For anything else.
    """
    modality, found, pattern = words.partition("=")
    if modality not in ("CT", "MR") or not found or not pattern:
        raise ValueError(f"{_OPTIONS[kind]}: expected CT=PATTERN or MR=PATTERN, got {words!r}")
    return FileRule(kind, "CT" if modality == "CT" else "MR", pattern)


def _run(
    ingestion: Ingestion, trees: Sequence[Path], survey: Survey, workers: int, console: Console
) -> dict[str, dict[str, int]]:
    columns = (TextColumn("{task.fields[slices]:,} slices"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    batch_bytes = INPUT_PER_SHARD * ingestion.settings.shard_bytes
    if survey.is_whole:
        batch_bytes = min(batch_bytes, max(_MIB, survey.num_bytes // (BATCHES_PER_WORKER * workers)))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("ingest", total=survey.num_bytes if survey.is_whole else None, slices=0)
        slices = 0

        def tell(batch: Batch, result: BatchResult) -> None:
            nonlocal slices
            slices += sum(shard.num_slices for shard in result.shards)
            progress.update(task, advance=sum(folder.num_bytes for folder in batch), slices=slices)

        return ingestion.run(trees, workers=workers, batch_bytes=batch_bytes, tell=tell)


def _print_survey(survey: Survey, console: Console) -> None:
    least = "" if survey.is_whole else "at least "
    console.print(
        f"To read: {least}{survey.num_files:,} files in {survey.num_folders:,} folders, {_bytes(survey.num_bytes)}."
    )


def _print_estimate(
    survey: Survey, expected: Estimate, settings: IngestSettings, workers: int, console: Console
) -> None:
    free = shutil.disk_usage(settings.out).free
    least = "about" if survey.is_whole else "for what was counted, about"
    if not expected.is_tried:
        least += ", by the number of files alone,"
    console.print(
        f"Expected: {least} {expected.num_slices:,.0f} slices, {_bytes(expected.num_bytes)} of shards "
        f"({_bytes(free)} are free), {_duration(expected.seconds / workers)} with {workers} workers."
    )
    if expected.num_bytes > free:
        console.print("[bold red]They will not fit. What is written when the disk is full is kept.[/]")


def _print_counts(counts: dict[str, dict[str, int]], console: Console) -> None:
    table = Table("", "", "count")
    for topic in ("slices", "volumes", "patients", "modality", "values", "plane", "region", "refused"):
        for number, (value, count) in enumerate(sorted(counts.get(topic, {}).items(), key=lambda item: -item[1])):
            table.add_row("" if number else topic, value, f"{count:,}")
    console.print(table)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.4g} TB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"
