"""``python -m trainer head``: from a TOML and a table to a head's folder, step by step, with progress."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from operators.model.model_folder import read_model
from trainer.export.model_card import CARD
from trainer.head_training.cross_validation import Patients, cross_validate, rows_by_part, strata_of
from trainer.head_training.examples import ExampleStore, files_of
from trainer.head_training.finished_head import TrainedHead, tried_for_deletion
from trainer.head_training.head_folder import check_place, head_folder
from trainer.head_training.kinds import head_record, kind_of, pose
from trainer.head_training.label_maps import check_label_maps
from trainer.head_training.settings import TrainingSettings, read_settings
from trainer.head_training.studies import StudyReader
from trainer.head_training.table import Table, read_table


def train_head(config: Path, data: Path, out: Path, work: Path | None, *, device: str, console: Console) -> None:
    """Train, calibrate, measure and write a head; what an earlier run left in *work* is not computed again.

    work : where features and finished fits are kept; beside the table by default

    Raises
    ------
    HeadTrainingError
        Settings or table are not as they should be, or a study cannot be read.
    ModelError
        The model folder cannot be used.
    """
    settings = read_settings(config)
    kind = kind_of(settings)
    settings, family = kind.completed(settings), kind.family(settings)
    check_place(out)
    draws = family in ("masks", "finding")
    table = read_table(data, settings.columns, needs_mask=draws)
    problem = pose(settings, table)
    model = read_model(settings.model)
    modality = head_record(settings, model.snapshot.sha256, {"data": "not read yet"}).modality
    present = problem.targets[:, 0] == 1 if family == "finding" else None
    reader = StudyReader.of(model, device=device, modality=modality, values=settings.values, slices=settings.slices)
    if draws:
        check_label_maps(table, reader, len(problem.labels), present=present)
    work = work or data.with_suffix(".work")
    tried = tried_for_deletion(problem, table)
    fitted, test = rows_by_part([row.part for row in table.rows])
    with _progress(console) as progress:
        bar = progress.add_task("studies", total=len(table.rows))
        examples = ExampleStore(work / "features", reader).collect(
            table,
            keeps_tokens=lambda place: kind.reads_tokens(settings) or place in tried,
            keeps_images=kind.reads_images,
            needs_mean="mean-token" in problem.inputs,
            done=lambda: progress.advance(bar),
        )
        fits = progress.add_task("fits", total=settings.folds + 1)
        trainable = kind.build(problem, examples)
        validated = cross_validate(
            trainable,
            fitted,
            Patients(tuple(table.patients), strata_of(problem.targets, problem.family)),
            settings,
            work / "fits" / _run_key(settings, table, [example.path.stem for example in examples]),
            done=lambda: progress.advance(fits),
        )
        progress.update(fits, completed=settings.folds + 1)
    trained = TrainedHead(problem, model, table, examples, trainable, validated, fitted, test, tried)
    with head_folder(out) as folder:
        trained.write(folder)
    console.print(f"{out / CARD}", markup=False, soft_wrap=True)


def _run_key(settings: TrainingSettings, table: Table, examples: Sequence[str]) -> str:
    """Of all that the fits are a function of."""
    maps = [files_of(row.mask) if row.mask else [] for row in table.rows]
    told = [settings.model_dump_json(exclude={"model"}), [dict(row.cells) for row in table.rows], list(examples), maps]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)
