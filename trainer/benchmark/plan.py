"""What a run has to compute: features of which images by which model, and which questions by which protocol."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from operators.errors import CuriaError
from trainer.benchmark.dataset import BenchmarkDataError, DataSet
from trainer.benchmark.evaluation import evaluate, evaluation_file
from trainer.benchmark.features import FeatureRequest, FeatureTable, compute_chunk, missing_chunks, table_folder
from trainer.benchmark.head_answers import PROTOCOL, answer_by_head, head_for
from trainer.benchmark.models import ModelSpec, open_spec
from trainer.benchmark.protocols import answers
from trainer.benchmark.question import Question
from trainer.benchmark.task import Task, Values
from trainer.evaluation.predictions import Predictions
from trainer.features.slice_models import SliceModel

_Kind = tuple[str, str, Values, int, str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkWork:
    """Features of some images by one model."""

    spec: ModelSpec
    dataset: DataSet
    request: FeatureRequest
    folder: Path
    number: int

    @property
    def num_images(self) -> int:
        return len(self.request.chunks[self.number])

    def do(self) -> str | None:
        """Why it could not be done; None where it was."""
        try:
            compute_chunk(open_spec(self.spec), self.dataset, self.request, self.folder, self.number)
        except (BenchmarkDataError, CuriaError) as error:
            return str(error)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationWork:
    """One question answered from one model's features by one protocol, or by a head of the model."""

    spec: ModelSpec
    question: Question
    tables: tuple[FeatureTable, ...]
    protocol: str
    path: Path

    def do(self) -> str | None:
        """Why it could not be done; None where it was."""
        try:
            evaluate(self.question, self.tables, self._answers(), self.path)
        except (ValueError, CuriaError) as error:
            return f"{self.question.task.name}: {error}"
        return None

    def _answers(self) -> Iterator[tuple[str, Predictions]]:
        if self.protocol != PROTOCOL:
            yield from answers(self.question, self.tables, self.protocol)
            return
        model = open_spec(self.spec)
        assert isinstance(model, SliceModel), "rivals have no heads"
        head = head_for(model.heads, self.question)
        assert head is not None, "whoever plans it has found one"
        yield PROTOCOL, answer_by_head(self.question, self.tables[0], model, head)

    @property
    def has_features(self) -> bool:
        """Whether every image could be read."""
        return not any(next(missing_chunks(table.folder, table.request), None) is not None for table in self.tables)


def feature_requests(questions: Sequence[Question]) -> dict[str, tuple[FeatureRequest, ...]]:
    """Requests for features, by the question's task: of its images, and of the moving ones where it has such.

    Questions about the same images share one request, so that each is encoded once.
    """
    rows: dict[_Kind, set[int]] = defaultdict(set)
    kept: dict[_Kind, set[int]] = defaultdict(set)
    for question in questions:
        for kind in _kinds(question):
            rows[kind] |= set(question.rows)
            if question.task.keeps_tokens:
                kept[kind] |= set(question.rows)
    requests = {
        kind: FeatureRequest(*kind[1:], tuple(sorted(asked)), frozenset(kept[kind])) for kind, asked in rows.items()
    }
    return {question.task.name: tuple(requests[kind] for kind in _kinds(question)) for question in questions}


def chunk_work(questions: Sequence[Question], specs: Sequence[ModelSpec], cache: Path) -> list[ChunkWork]:
    """Every chunk that is not on disk yet; one model after the other."""
    requests, work, seen = feature_requests(questions), [], set()
    for spec in specs:
        key = open_spec(spec).key
        for question in questions:
            for request in requests[question.task.name]:
                folder = table_folder(cache, key, question.dataset, request)
                if folder not in seen:
                    seen.add(folder)
                    work += [
                        ChunkWork(spec, question.dataset, request, folder, number)
                        for number in missing_chunks(folder, request)
                    ]
    return work


def evaluation_work(
    questions: Sequence[Question], specs: Sequence[ModelSpec], cache: Path
) -> list[tuple[ModelSpec, EvaluationWork]]:
    """Every evaluation of the run, those on disk included, with its model."""
    requests, work = feature_requests(questions), []
    for spec in specs:
        model = open_spec(spec)
        heads = model.heads if isinstance(model, SliceModel) else ()
        for question in questions:
            tables = tuple(
                FeatureTable(request, table_folder(cache, model.key, question.dataset, request))
                for request in requests[question.task.name]
            )
            for protocol in question.task.protocols:
                path = evaluation_file(cache, question, model.key, protocol)
                work.append((spec, EvaluationWork(spec, question, tables, protocol, path)))
            if (head := head_for(heads, question)) is not None:
                path = evaluation_file(cache, question, f"{model.key}-{head.algorithm}", PROTOCOL)
                work.append((spec, EvaluationWork(spec, question, tables, PROTOCOL, path)))
    return work


def _kinds(question: Question) -> tuple[_Kind, ...]:
    task, digest = question.task, question.dataset.digest
    if task.moving:
        return tuple((digest, column, task.values, task.slices, "", 0.0) for column in (task.image, task.moving))
    region = task.mask if task.input == "roi" else ""
    return ((digest, task.image, task.values, task.slices, region, _region_from(task) if region else 0.0),)


def _region_from(task: Task) -> float:
    return 0.5 if task.mask_from is None else task.mask_from
