"""A task meets its data set: which rows are asked, what is true of them, and who is fitted on when."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.benchmark.dataset import BenchmarkDataError, DataSet, LeakageError
from trainer.benchmark.task import Task
from trainer.evaluation.folds import Part, stratified_folds

NUM_FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Places in the question's rows."""

    fitted: NDArray[np.int64]
    asked: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked and what is true.

    rows : of the data set's table, (n,)
    patients : (n,)
    true : (n,) class number, value or time; (n, L) 0, 1 or nan for many labels at once
    classes : names of the classes or labels
    events : (n,) for survival
    folds : every example is asked about once by cross-validation, or those of the published test part
    """

    task: Task
    dataset: DataSet
    rows: tuple[int, ...]
    patients: NDArray[np.str_]
    true: NDArray[np.float64]
    classes: tuple[str, ...]
    events: NDArray[np.bool_] | None
    folds: tuple[Fold, ...]


def pose(task: Task, dataset: DataSet, limit: int | None = None) -> Question:
    """The question of a task to a data set.

    limit : at most so many patients, always the same ones

    Raises
    ------
    BenchmarkDataError
        For a missing column, an unknown label, a cell that is no number, too few patients.
    LeakageError
        When a patient is in the train and in the test part.
    """
    dataset.check_columns(task.columns)
    rows = [row for row in range(len(dataset.rows)) if _is_asked(task, dataset.rows[row])]
    if limit is not None:
        rows = _of_some_patients(task, dataset, rows, limit)
    if task.kind == "segmentation":
        rows = _thinned(task, dataset, rows)
    true, classes = _truth(task, dataset, rows)
    kept = [place for place in range(len(rows)) if np.isfinite(true[place]).any()]
    rows, true = [rows[place] for place in kept], true[kept]
    patients = np.array([dataset.rows[row][task.patient] for row in rows], np.str_)
    if "" in patients:
        raise BenchmarkDataError(f"{dataset.name}: {task.patient}: expected a patient in every row, got an empty cell")
    events = np.array([_number(dataset, row, task.event) > 0 for row in rows]) if task.event else None
    folds = _folds(task, dataset, rows, patients, true)
    return Question(task, dataset, tuple(rows), patients, true, classes, events, folds)


def check_leakage(dataset: DataSet, patients: Mapping[str, set[str]]) -> None:
    """Refuse a split in which a patient is on both sides.

    patients : of each part, their names

    Raises
    ------
    LeakageError
        Saying how many, not who.
    """
    both = patients.get("train", set()) & patients.get("test", set())
    if both:
        raise LeakageError(
            f"{dataset.name}: split: {len(both)} of {len(set().union(*patients.values()))} patients are in train and "
            "in test; every figure would be of people that were fitted on. Put each patient on one side"
        )


def _is_asked(task: Task, row: Mapping[str, str]) -> bool:
    if task.exclude is not None and row[task.exclude.column].startswith(task.exclude.prefix):
        return False
    if not row[task.image]:
        return False
    outlined = task.kind in ("segmentation", "registration") or task.input == "roi"
    needed = (task.target, task.event, task.mask if outlined else "", task.moving, task.moving_mask)
    return all(row[column] for column in needed if column)


def _truth(task: Task, dataset: DataSet, rows: list[int]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if task.kind in ("segmentation", "registration"):
        return np.zeros(len(rows)), task.classes
    if task.kind == "multi-label":
        return _labels(task, dataset, rows)
    if task.kind != "classification":
        return np.array([_number(dataset, row, task.target) for row in rows]), ()
    if task.ranges:
        classes = tuple(task.ranges)
        return np.array([_range_of(task, _number(dataset, row, task.target)) for row in rows]), classes
    cells = [dataset.rows[row][task.target] for row in rows]
    classes = task.classes or tuple(sorted(set(cells)))
    unknown = sorted(set(cells) - set(classes))
    if unknown:
        raise BenchmarkDataError(
            f"{dataset.name}: {task.target}: expected one of {', '.join(classes)}, got {', '.join(unknown[:3])}"
        )
    return np.array([float(classes.index(cell)) for cell in cells]), classes


def _by_modality(task: Task, dataset: DataSet, row: int, part: Part | None) -> Part | None:
    """Fitted on one modality's train part, asked about the other's test part; a row without a part counts as either."""
    mine: Part = "train" if dataset.rows[row]["modality"] == task.train_modality else "test"
    return mine if part in (mine, None) else None


def _range_of(task: Task, value: float) -> float:
    for number, (low, high) in enumerate(task.ranges.values()):
        if low <= value <= high:
            return float(number)
    return float("nan")


def _labels(task: Task, dataset: DataSet, rows: list[int]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Of every finding 0, 1 or nan; one that nobody or everybody has is left out."""
    known = {"", "0", "1", "0.0", "1.0", "-1", "NA", "na"}
    others = {*task.columns, "split"}
    columns = task.findings or tuple(
        column for column in dataset.columns if column not in others and {r[column] for r in dataset.rows} <= known
    )
    values = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0}
    for column in columns:
        unknown = {dataset.rows[row][column] for row in rows} - known
        if unknown:
            raise BenchmarkDataError(f"{dataset.name}: {column}: expected 0, 1 or nothing, got {sorted(unknown)[0]!r}")
    table = np.array([[values.get(dataset.rows[row][column], np.nan) for column in columns] for row in rows])
    told = [place for place in range(len(columns)) if {0.0, 1.0} <= set(table[:, place].tolist())]
    if not told:
        raise BenchmarkDataError(
            f"{dataset.name}: expected columns that hold 0 and 1, got {', '.join(dataset.columns)}"
        )
    return table[:, told], tuple(columns[place] for place in told)


def _number(dataset: DataSet, row: int, column: str) -> float:
    try:
        return float(dataset.rows[row][column])
    except ValueError:
        raise BenchmarkDataError(
            f"{dataset.name}: {column}: expected a number, got {dataset.rows[row][column]!r}"
        ) from None


def _of_some_patients(task: Task, dataset: DataSet, rows: list[int], limit: int) -> list[int]:
    """Drawn by the digest of their names, so that neither the table's order nor another pack's patients matter."""
    names = {dataset.rows[row][task.patient] for row in rows}
    drawn = set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:limit])
    return [row for row in rows if dataset.rows[row][task.patient] in drawn]


def _thinned(task: Task, dataset: DataSet, rows: list[int]) -> list[int]:
    """At most `per_patient` of each patient, evenly spaced in the table's order."""
    by_patient: dict[str, list[int]] = {}
    for row in rows:
        by_patient.setdefault(dataset.rows[row][task.patient], []).append(row)
    chosen: set[int] = set()
    for mine in by_patient.values():
        places = np.unique(np.linspace(0, len(mine) - 1, min(len(mine), task.per_patient)).round().astype(int))
        chosen.update(mine[place] for place in places)
    return [row for row in rows if row in chosen]


def _folds(
    task: Task, dataset: DataSet, rows: list[int], patients: NDArray[np.str_], true: NDArray[np.float64]
) -> tuple[Fold, ...]:
    parts = [dataset.part(row) for row in rows]
    if task.kind == "registration":
        return (Fold(np.array([], np.int64), np.flatnonzero([part != "train" for part in parts])),)
    if task.train_modality:
        parts = [_by_modality(task, dataset, row, part) for row, part in zip(rows, parts, strict=True)]
    if any(parts):
        check_leakage(dataset, {part: set(patients[[p == part for p in parts]].tolist()) for part in ("train", "test")})
        fold = Fold(*(np.flatnonzero([p == part for p in parts]) for part in ("train", "test")))
        if not len(fold.fitted) or not len(fold.asked):
            raise BenchmarkDataError(f"{dataset.name}: split: expected rows in train and in test, one has none")
        return (fold,)
    names = sorted(set(patients.tolist()))
    if len(names) < 2:
        raise BenchmarkDataError(f"{dataset.name}: {task.patient}: expected at least two patients, got {len(names)}")
    strata = dict.fromkeys(names, "")
    if task.kind == "classification":
        for name in names:
            (number, _), *_ = Counter(true[patients == name].tolist()).most_common(1)
            strata[name] = f"{number:04.0f}"
    held_out = stratified_folds(strata, min(NUM_FOLDS, len(names)))
    is_held_out = [np.isin(patients, sorted(fold)) for fold in held_out]
    return tuple(Fold(np.flatnonzero(~held), np.flatnonzero(held)) for held in is_held_out)
