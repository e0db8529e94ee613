"""The table of labelled studies, CSV or Parquet, with all that can be wrong in it told before anything is computed."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet

from trainer.evaluation.folds import PARTS, Part
from trainer.head_training.errors import HeadTrainingError
from trainer.head_training.settings import Columns


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled study.

    number : line of the table, the header is 1
    mask : None where the cell is empty, or no head asks for maps
    """

    number: int
    study: Path
    series: str
    patient: str
    part: Part | None
    mask: Path | None
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """The labelled studies.

    path : for messages; the files in it are found from its folder on
    """

    path: Path
    rows: tuple[Row, ...]

    @property
    def patients(self) -> list[str]:
        return [row.patient for row in self.rows]

    def problem(self, row: Row, message: str) -> HeadTrainingError:
        """An error that names the row."""
        return HeadTrainingError(f"{self.path.name}: row {row.number}: {message}")


def read_table(path: Path, columns: Columns, *, needs_mask: bool) -> Table:
    """Read and check a table.

    Raises
    ------
    HeadTrainingError
        A column or a file is missing, a patient is in two parts of the split, or a cell says nothing.
    """
    cells = _read_cells(path)
    if not cells:
        raise HeadTrainingError(f"{path}: expected a header and rows, found no row")
    needed = [columns.study, columns.patient, *columns.targets, *([columns.mask] if needs_mask else [])]
    missing = [column for column in needed if column not in cells[0]]
    if missing:
        raise HeadTrainingError(
            f"{path.name}: expected the column {', '.join(missing)}, the table has {', '.join(cells[0])}; "
            "rename it or name it under [columns]"
        )
    table = Table(
        path, tuple(_row(path, number, row, columns, needs_mask) for number, row in enumerate(cells, start=2))
    )
    _check(table, columns)
    return table


def _read_cells(path: Path) -> list[dict[str, str]]:
    try:
        if path.suffix == ".parquet":
            rows = pyarrow.parquet.read_table(path).to_pylist()
            return [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in rows]
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error, pyarrow.ArrowException) as error:
        raise HeadTrainingError(f"{path}: cannot be read as {path.suffix or 'a table'} ({error})") from error
    for number, row in enumerate(found, start=2):
        if None in row or None in row.values():
            raise HeadTrainingError(f"{path.name}: row {number}: expected as many cells as in the header")
    return found


def _row(path: Path, number: int, cells: dict[str, str], columns: Columns, needs_mask: bool) -> Row:
    word = cells.get(columns.split, "").strip().lower()
    if word and word not in PARTS:
        raise HeadTrainingError(
            f"{path.name}: row {number}: {columns.split}: expected one of {', '.join(PARTS)}, got {word!r}"
        )
    return Row(
        number,
        path.parent / cells[columns.study],
        cells.get(columns.series, ""),
        cells[columns.patient],
        PARTS[word] if word else None,
        path.parent / cells[columns.mask] if needs_mask and cells[columns.mask].strip() else None,
        cells,
    )


def _check(table: Table, columns: Columns) -> None:
    parts: dict[str, Part | None] = {}
    for row in table.rows:
        if not row.patient:
            raise table.problem(row, f"{columns.patient}: expected who it is, got nothing")
        for column, path in ((columns.study, row.study), (columns.mask, row.mask)):
            if path is not None and not path.exists():
                raise table.problem(
                    row, f"{column}: {row.cells[column]} is not there, looked from the table's folder on"
                )
        if parts.setdefault(row.patient, row.part) != row.part:
            raise table.problem(
                row,
                f"{columns.patient}: the patient of this row is in two parts of the split "
                f"({parts[row.patient] or 'none'} and {row.part or 'none'}); a patient belongs to one",
            )
