"""Folders with an index.csv as data sets, and the tasks that their columns suggest where none are declared."""

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from operators.domain.volume import Volume
from trainer.benchmark.dataset import BenchmarkDataError, DataSet
from trainer.benchmark.task import Task, Values
from trainer.ingest.pictures import read_picture

INDEX = "index.csv"
DEPTH = 3
"""Folders below the data folder that are looked into."""

PATIENTS = ("patient_family", "patient_id", "patient", "pair", "subject", "subject_id")
"""Columns that may tell people apart, the first that is there counts: a family is at least as large as an id."""

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".nii", ".nii.gz", ".dcm")
_MASK_WORDS = re.compile(r"mask|vote|label|seg|contour|roi")
_NOT_ASKED = re.compile(r"(^|_)(id|uid|uids|slice|nodule|frame|spacing|spacing_mm|split|readers|description|fold)($|_)")
_TIME, _EVENT = (
    re.compile(r"(survival|follow_?up|os|time)[_.]?(time|days|months)?$"),
    re.compile(r"event|dead|death|status"),
)
_FEW, _MANY, _SOME = 20, 10, 5
_LOOKED_AT = 40
_ASKED = {
    "classification": (("linear", "knn", "few-shot"), "balanced-accuracy"),
    "regression": (("ridge", "knn"), "mae"),
}


@dataclass(frozen=True, slots=True)
class _Folder:
    """Where a pack's images lie."""

    path: Path
    name: str
    rows: Sequence[dict[str, str]]

    def read(self, row: int, column: str) -> Volume:
        try:
            return read_picture(self.path / self.rows[row][column])
        except (ValueError, FileNotFoundError) as error:
            raise BenchmarkDataError(f"{self.name}: row {row + 2} of {INDEX}, {column}: {error}") from error


def find_packs(data: Path) -> Iterator[Path]:
    """Every folder in or below *data* that has an index.csv, in the order of their paths."""
    for depth in range(DEPTH + 1):
        for path in sorted(data.glob("/".join(["*"] * depth + [INDEX]))):
            yield path.parent


def read_pack(folder: Path) -> DataSet:
    """A pack's table; images are read when they are asked for.

    Raises
    ------
    BenchmarkDataError
        When the table is empty or its rows differ in length.
    """
    path = folder / INDEX
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if not rows:
        raise BenchmarkDataError(f"{path}: expected a header and rows, found none")
    if any(None in row or None in row.values() for row in rows):
        raise BenchmarkDataError(f"{path}: expected as many cells in every row as in the header")
    digest = hashlib.sha256(path.read_bytes())
    for row in rows:
        for cell in row.values():
            if _is_file_name(cell) and (folder / cell).is_file():
                digest.update(f"{cell} {(folder / cell).stat().st_size}\n".encode())
    found = _Folder(folder, folder.name, rows)
    return DataSet(folder.name, digest.hexdigest(), tuple(rows), found.read, found.read)


def suggest_tasks(dataset: DataSet) -> Iterator[Task]:
    """Tasks by the columns of a pack that none is declared for.

    Masks are segmented; words with few values and numbers with two are classes, other numbers are regressed; a time
    with an event is survival.

    Raises
    ------
    BenchmarkDataError
        When no column tells patients apart, or none names images.
    """
    patient = next((column for column in PATIENTS if column in dataset.columns), None)
    if patient is None:
        raise BenchmarkDataError(f"{dataset.name}: expected a column {PATIENTS[1]}, got {', '.join(dataset.columns)}")
    files = [column for column in dataset.columns if _names_files(dataset, column)]
    masks = [column for column in files if _MASK_WORDS.search(column.lower())]
    images = [column for column in files if column not in masks]
    if not images:
        raise BenchmarkDataError(f"{dataset.name}: expected a column that names images, got {dataset.columns}")
    stem = re.sub(r"[^a-z0-9]+", "-", dataset.name.lower()).strip("-")
    known = {
        "track": "packs",
        "dataset": dataset.name,
        "modality": _modality_of(dataset),
        "body_region": "",
        "values": _values_of(dataset, images[0]),
        "patient": patient,
        "note": "task suggested by the table's columns",
    }
    for mask in masks:
        image = _image_of(mask, images)
        votes = {"mask_from": 120.0} if "vote" in mask.lower() else _classes_of(dataset, mask)
        yield Task.model_validate(
            {**known, **votes, "name": f"{stem}-{_slug(mask)}", "kind": "segmentation", "image": image, "mask": mask,
             "protocols": ("dense",), "metric": "dice"}
        )  # fmt: skip
    targets = [
        column
        for column in dataset.columns
        if column not in (*files, *PATIENTS) and not _NOT_ASKED.search(column.lower())
    ]
    times = [column for column in targets if _TIME.search(column.lower()) and _numbers(dataset, column)]
    events = [column for column in targets if _EVENT.search(column.lower()) and _numbers(dataset, column) == {0.0, 1.0}]
    if times and events:
        yield Task.model_validate(
            {**known, "name": f"{stem}-survival", "kind": "survival", "input": "volume", "image": images[0],
             "target": times[0], "event": events[0], "protocols": ("cox",), "metric": "c-index"}
        )  # fmt: skip
        targets = [column for column in targets if column not in (times[0], events[0])]
    for column in targets:
        kind = _kind_of(dataset, column, patient)
        if kind is None:
            continue
        protocols, metric = (
            (("linear", "knn", "few-shot"), "balanced-accuracy")
            if kind == "classification"
            else (("ridge", "knn"), "mae")
        )
        yield Task.model_validate(
            {**known, "name": f"{stem}-{_slug(column)}", "kind": kind, "image": images[0], "target": column,
             "protocols": protocols, "metric": metric}
        )  # fmt: skip


def _kind_of(dataset: DataSet, column: str, patient: str) -> str | None:
    cells = {row[column] for row in dataset.rows if row[column]}
    numbers = _numbers(dataset, column)
    if numbers is not None and (len(numbers) > _MANY or any(number % 1 for number in numbers)):
        return "regression" if len(numbers) >= _SOME else None
    patients: dict[str, set[str]] = {}
    for row in dataset.rows:
        patients.setdefault(row[column], set()).add(row[patient])
    several = [cell for cell in cells if len(patients[cell]) > 1]
    return "classification" if 2 <= len(several) == len(cells) <= _FEW else None


def _numbers(dataset: DataSet, column: str) -> set[float] | None:
    """Its different numbers; None where a cell is none."""
    try:
        return {float(row[column]) for row in dataset.rows if row[column]} or None
    except ValueError:
        return None


def _names_files(dataset: DataSet, column: str) -> bool:
    cells = [row[column] for row in dataset.rows if row[column]]
    return bool(cells) and all(_is_file_name(cell) for cell in cells)


def _is_file_name(cell: str) -> bool:
    return cell.lower().endswith(_IMAGE_SUFFIXES)


def _image_of(mask: str, images: Sequence[str]) -> str:
    """`pre` for `pre_mask`; the first column of images where no name fits."""
    return next((image for image in images if mask.lower().startswith(image.lower())), images[0])


def _values_of(dataset: DataSet, image: str) -> Values:
    name = next(row[image] for row in dataset.rows if row[image]).lower()
    if name.endswith((".jpg", ".jpeg", ".png")):
        return "8-bit"
    return "hu" if _modality_of(dataset) == "CT" else "scanner"


def _modality_of(dataset: DataSet) -> str:
    """As the folder's name tells it; "" where it does not."""
    words = re.split(r"[^a-z0-9]+", dataset.name.lower())
    return "CT" if "ct" in words else "MR" if {"mr", "mri"} & set(words) else ""


def _classes_of(dataset: DataSet, mask: str) -> dict[str, object]:
    """The numbers that some masks hold; of many different ones, as an edge that was smoothed gives, the upper half."""
    rows = [row for row in range(len(dataset.rows)) if dataset.rows[row][mask]]
    values: set[float] = set()
    for place in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _LOOKED_AT)).astype(int)):
        values |= set(np.unique(dataset.read_mask(rows[place], mask).array).tolist())
    values -= {0.0}
    if len(values) > _FEW:
        return {"mask_from": max(values) / 2}
    return {"mask_values": tuple(sorted(values)) or (1.0,)}


def _slug(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", column.lower()).strip("-")
