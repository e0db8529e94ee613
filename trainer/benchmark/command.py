"""``python -m trainer bench``: finds the data of a track, asks every model, writes results.json and report.html."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.benchmark.dataset import BenchmarkDataError
from trainer.benchmark.evaluation import Evaluation, read_evaluations
from trainer.benchmark.models import WITHOUT_NETWORK, ModelSpec, model_specs, open_spec
from trainer.benchmark.packs import find_packs, ignored_columns, read_pack, tasks_of
from trainer.benchmark.plan import EvaluationWork, chunk_work, evaluation_work
from trainer.benchmark.question import Question, pose
from trainer.benchmark.report.page import write_report
from trainer.benchmark.report.similarity import draw_similarity
from trainer.benchmark.results import RESULTS, Comparison, ResultRow, write_rows
from trainer.benchmark.shards import find_shards
from trainer.benchmark.task import Task, Track, read_tasks
from trainer.evaluation.pairs import holm, paired_p_value
from trainer.evaluation.predictions import figure_of

COMPARISONS = "comparisons.json"
SIMILARITY_TASKS = 4


class Work(Protocol):
    """Something that is done once and leaves a file."""

    def do(self) -> str | None:
        """Why it could not be done; None where it was."""


class Pool(Protocol):
    """Does work, here or elsewhere."""

    def run(self, work: Sequence[Work], done: Callable[[int, str | None], None]) -> None:
        """Do everything; *done* is told the place of each that has ended, and why where it could not be done."""


class InProcess:
    """One after the other, here."""

    def run(self, work: Sequence[Work], done: Callable[[int, str | None], None]) -> None:
        for place, item in enumerate(work):
            done(place, item.do())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found.

    refused : why a data set or task was left out
    """

    rows: tuple[ResultRow, ...]
    comparisons: tuple[Comparison, ...]
    refused: tuple[str, ...]


def bench(
    tracks: Sequence[Track],
    models: Sequence[str],
    data: Path,
    out: Path,
    *,
    pool: Pool,
    console: Console,
    device: str = "cpu",
    limit: int | None = None,
    with_images: bool = True,
) -> Outcome:
    """Measure every model at every task that *data* holds; what an earlier run left in *out* is not computed again.

    limit : patients of a task, for a trial
    with_images : whether the report shows some of the images

    Raises
    ------
    ValueError
        When a model cannot be opened as it is named, or *data* holds nothing of the tracks.
    """
    specs = model_specs(list(models), device=device)
    questions, refused = pose_all(tracks, data, limit)
    for dataset in {question.dataset: None for question in questions if question.task.track == "packs"}:
        asked = [question.task for question in questions if question.dataset is dataset]
        if ignored := ignored_columns(dataset, asked):
            console.print(
                f"{dataset.name}: no task reads the columns {', '.join(ignored)}", markup=False, soft_wrap=True
            )
    if not questions and not refused:
        raise ValueError(f"--data {data}: expected data of the track {', '.join(tracks)}, found none")
    cache = out / "cache"
    chunks = chunk_work(questions, specs, cache)
    refused += _run(pool, chunks, [item.num_images for item in chunks], "images", console)
    evaluations = [(spec, item) for spec, item in evaluation_work(questions, specs, cache) if item.has_features]
    missing = [item for _, item in evaluations if not item.path.exists()]
    refused += _run(pool, missing, [1] * len(missing), "probes", console)
    evaluations = [(spec, item) for spec, item in evaluations if item.path.exists()]
    refused = list(dict.fromkeys(refused))
    for reason in refused:
        console.print(f"refused: {reason}", style="red", markup=False, soft_wrap=True)
    measured = [
        (spec, item.question, evaluation) for spec, item in evaluations for evaluation in read_evaluations(item.path)
    ]
    rows = tuple(_row(spec, question, evaluation) for spec, question, evaluation in measured)
    comparisons = compare(measured, specs)
    out.mkdir(parents=True, exist_ok=True)
    write_rows(rows, out / RESULTS)
    write_rows(comparisons, out / COMPARISONS)
    dense = [(spec, item) for spec, item in evaluations if item.protocol == "dense"] if with_images else []
    pictures = similarity_pictures(specs, dense)
    tasks = [question.task for question in questions]
    write_report(rows, comparisons, tasks, refused, out, pictures=pictures)
    return Outcome(rows, comparisons, tuple(refused))


def pose_all(tracks: Sequence[Track], data: Path, limit: int | None = None) -> tuple[list[Question], list[str]]:
    """Every question that the data of the tracks allow, and why others are refused."""
    questions: list[Question] = []
    refused: list[str] = []
    if "packs" in tracks:
        declared = [task for task in read_tasks() if task.track == "packs"]
        for folder in find_packs(data):
            _pose_pack(folder, declared, questions, refused, limit)
    for task in read_tasks():
        if task.track in tracks and task.track != "packs":
            try:
                dataset = find_shards(data, task.dataset)
                if dataset is not None:
                    questions.append(pose(task, dataset, limit))
            except BenchmarkDataError as error:
                refused.append(f"{task.name}: {error}")
    return questions, refused


def _pose_pack(
    folder: Path, declared: Iterable[Task], questions: list[Question], refused: list[str], limit: int | None
) -> None:
    """Add the pack's questions to *questions*, and why it or a task of it is left out to *refused*."""
    try:
        pack = read_pack(folder)
        tasks = tasks_of(pack, declared)
    except BenchmarkDataError as error:
        refused.append(str(error))
        return
    taken = {question.task.name for question in questions}
    for task in tasks:
        name = task.name if task.name not in taken else f"{task.name}-{len(taken)}"
        try:
            questions.append(pose(task.model_copy(update={"name": name}), pack, limit))
        except BenchmarkDataError as error:
            refused.append(f"{task.name}: {error}")


def compare(
    measured: Sequence[tuple[ModelSpec, Question, Evaluation]], specs: Sequence[ModelSpec]
) -> tuple[Comparison, ...]:
    """The first model against each other at every task, by the task's metric and first protocol."""
    main: dict[tuple[str, str], tuple[Question, Evaluation]] = {}
    for spec, question, evaluation in measured:
        if evaluation.metric == question.task.metric:
            main.setdefault((spec.word, question.task.name), (question, evaluation))
    first = specs[0]
    found: list[Comparison] = []
    for other in specs[1:]:
        for (word, name), (question, mine) in main.items():
            if word != first.word or (other.word, name) not in main:
                continue
            _, theirs = main[other.word, name]
            ours, others = np.array(mine.resampled), np.array(theirs.resampled)
            difference = figure_of(ours - others, mine.num_patients)
            found.append(
                Comparison(
                    track=question.task.track,
                    task=name,
                    protocol=mine.protocol,
                    metric=mine.metric,
                    model=open_spec(first).name,
                    other=open_spec(other).name,
                    difference=difference.value,
                    low=difference.low,
                    high=difference.high,
                    p_value=paired_p_value(ours, others, num_patients=mine.num_patients),
                    p_adjusted=1.0,
                )
            )
    adjusted = holm([comparison.p_value for comparison in found])
    return tuple(c.model_copy(update={"p_adjusted": p}) for c, p in zip(found, adjusted, strict=True))


def similarity_pictures(
    specs: Sequence[ModelSpec], dense: Sequence[tuple[ModelSpec, EvaluationWork]]
) -> list[tuple[str, Figure]]:
    """For each network: what a patch looks like to it elsewhere."""
    pictures = []
    for spec in specs:
        asked = [(item.question, item.tables[0]) for other, item in dense if other == spec][:SIMILARITY_TASKS]
        if asked and spec.word not in WITHOUT_NETWORK:
            pictures.append((f"Similarity of a patch, {open_spec(spec).name}", draw_similarity(asked)))
    return pictures


def _row(spec: ModelSpec, question: Question, evaluation: Evaluation) -> ResultRow:
    figure = evaluation.figure
    return ResultRow(
        track=question.task.track,
        task=question.task.name,
        model=open_spec(spec).name,
        protocol=evaluation.protocol,
        metric=evaluation.metric,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n_patients=evaluation.num_patients,
        n_test=evaluation.num_test,
        seconds=evaluation.seconds,
    )


def _run(pool: Pool, work: Sequence[Work], sizes: Sequence[int], what: str, console: Console) -> list[str]:
    """Why some of it could not be done."""
    reasons: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(what, total=sum(sizes))

        def done(place: int, reason: str | None) -> None:
            progress.advance(bar, sizes[place])
            if reason is not None:
                reasons.append(reason)

        pool.run(work, done)
    return reasons
