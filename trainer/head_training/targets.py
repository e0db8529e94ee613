"""From the cells of a table to what a fit is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.table import Row, Table

Floats = NDArray[np.float64]

_YES, _NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def label_targets(table: Table, columns: Sequence[str]) -> Floats:
    """(n, C) of 0, 1 and nan for an empty cell, for labels that may be there together.

    Raises
    ------
    HeadTrainingError
        A cell is none of these, or a label is present in no row or in every one.
    """

    targets = np.array([[_yes_or_no(table, row, column) for column in columns] for row in table.rows])
    for number, column in enumerate(columns):
        if not ((targets[:, number] == 1).any() and (targets[:, number] == 0).any()):
            raise HeadTrainingError(
                f"{table.path.name}: {column}: expected rows with 1 and rows with 0, one is missing"
            )
    return targets


def told_label_targets(table: Table, columns: Sequence[str]) -> Floats:
    """Targets as `label_targets` gives them, where every cell has to be told.

    Raises
    ------
    HeadTrainingError
        As `label_targets` says, or a cell is empty.
    """
    targets = label_targets(table, columns)
    for row, told in zip(table.rows, targets, strict=True):
        if not np.isfinite(told).all():
            raise table.problem(row, f"{', '.join(columns)}: expected 1 or 0 of every study, got nothing")
    return targets


def class_targets(table: Table, column: str, classes: Sequence[str]) -> Floats:
    """(n, 1) numbers of classes that exclude one another.

    Raises
    ------
    HeadTrainingError
        A cell is none of the classes, or no row shows one of them.
    """
    for row in table.rows:
        if row.cells[column] not in classes:
            raise table.problem(
                row,
                f"{column}: {row.cells[column]!r} is none of the labels ({', '.join(classes)}); check its spelling",
            )
    shown = {row.cells[column] for row in table.rows}
    for name in classes:
        if name not in shown:
            raise HeadTrainingError(f"{table.path.name}: {column}: expected rows of each label, none shows {name!r}")
    return np.array([[float(classes.index(row.cells[column]))] for row in table.rows])


def number_targets(table: Table, column: str) -> Floats:
    """(n, 1).

    Raises
    ------
    HeadTrainingError
        A cell is no finite number.
    """
    return np.array([[_number(table, row, column)] for row in table.rows])


def survival_targets(table: Table, time: str, event: str) -> Floats:
    """(n, 2) days, and 1 where they ended with the event.

    Raises
    ------
    HeadTrainingError
        A time is not above 0, an event neither 1 nor 0, or there is none.
    """
    days, events = number_targets(table, time), np.array([[_yes_or_no(table, row, event)] for row in table.rows])
    for row, day, told in zip(table.rows, days[:, 0], events[:, 0], strict=True):
        if not (day > 0 and np.isfinite(told)):
            raise table.problem(row, f"{time} and {event}: expected days above 0, and 1 or 0 for how they ended")
    if not events.any():
        raise HeadTrainingError(f"{table.path.name}: {event}: expected at least one row with 1, got none")
    return np.concatenate([days, events], axis=1)


def classes_of(table: Table, column: str) -> tuple[str, ...]:
    """The different cells of a column, in the order of the alphabet."""
    return tuple(sorted({row.cells[column] for row in table.rows}))


def _yes_or_no(table: Table, row: Row, column: str) -> float:
    word = row.cells[column].strip().lower()
    if word in ("", "nan"):
        return float("nan")
    if word not in (*_YES, *_NO):
        raise table.problem(row, f"{column}: expected 1, 0 or nothing, got {row.cells[column]!r}")
    return float(word in _YES)


def _number(table: Table, row: Row, column: str) -> float:
    try:
        value = float(row.cells[column])
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise table.problem(row, f"{column}: expected a number, got {row.cells[column]!r}")
    return value
