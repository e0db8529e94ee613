"""Folders with an index.csv as data sets, and the tasks that their columns suggest where none are declared."""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from operators.domain.volume import Volume
from operators.errors import CuriaError
from trainer.benchmark.dataset import BenchmarkDataError, DataSet
from trainer.benchmark.task import Task, Values
from trainer.ingest.pictures import picture_modality, read_picture

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
AIR_HU = -900
"""Nothing but CT has values as low."""

_FEW, _MANY, _SOME = 20, 10, 5
_LOOKED_AT = 200
_ASKED_TWICE = 0.8
"""Share of the examples whose class several patients have, from which a column's words are classes and no remarks."""

_MEASURED = re.compile(r"(^|_)(age|years|mm|cm|ml|volume|diameter)($|_)")
"""Columns whose numbers are measured, however few there are."""

_STRUCTURES = {
    "left ventricle": re.compile(r"ventricle|cavity"),
    "brain mass": re.compile(r"brain.*(tumou?r|glioma|mass)|glioma|meningioma"),
    "hippocampus": re.compile(r"hippocampus"),
    "soft-tissue mass": re.compile(r"sarcoma|soft.?tissue.?mass"),
    "liver": re.compile(r"liver(?!.*(tumou?r|lesion|mass))"),
    "lung": re.compile(r"(^|[^a-z])lungs?($|[^a-z])(?!.*(nodule|tumou?r|lesion|mass))"),
}
"""What a pack outlines, by the words of its folder's and its column's name, as the heads' labels call it."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """Where a pack's images lie."""

    path: Path
    name: str
    rows: Sequence[dict[str, str]]

    def read(self, row: int, column: str) -> Volume:
        file = self.rows[row][column]
        try:
            return read_picture(self.path / file)
        except (ValueError, FileNotFoundError, CuriaError) as error:
            told = str(error) if file in str(error) else f"{file}: {error}"
            raise BenchmarkDataError(f"{self.name}: row {row + 2} of {INDEX}, {column}: {told}") from error


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
    modality = _modality_of(folder, rows)
    return DataSet(folder.name, digest.hexdigest(), tuple(rows), found.read, found.read, modality)


def tasks_of(pack: DataSet, declared: Iterable[Task]) -> list[Task]:
    """Those of *declared* that know the pack by a part of its name; where none fits it, what its columns suggest.

    A declared task takes whichever of `PATIENTS` the table has; one that lacks another column stays, to be refused.

    Raises
    ------
    BenchmarkDataError
        As `suggest_tasks` says.
    """
    patient = patient_column(pack)
    known = [
        task if task.patient in pack.columns else task.model_copy(update={"patient": patient})
        for task in declared
        if task.dataset in pack.name
    ]
    return known if any(set(task.columns) <= set(pack.columns) for task in known) else list(suggest_tasks(pack))


def ignored_columns(pack: DataSet, tasks: Iterable[Task]) -> list[str]:
    """Those that no task reads."""
    read = {column for task in tasks for column in task.columns}
    return [column for column in pack.columns if column not in (*read, *PATIENTS, "split")]


def patient_column(dataset: DataSet) -> str:
    """The column that tells people apart.

    Raises
    ------
    BenchmarkDataError
        When there is none.
    """
    found = next((column for column in PATIENTS if column in dataset.columns), None)
    if found is None:
        raise BenchmarkDataError(f"{dataset.name}: expected a column {PATIENTS[1]}, got {', '.join(dataset.columns)}")
    return found


def suggest_tasks(dataset: DataSet) -> Iterator[Task]:
    """Tasks by the columns of a pack that none is declared for.

    Masks are segmented; words with few values and numbers with two are classes, other numbers are regressed; a time
    with an event is survival.

    Raises
    ------
    BenchmarkDataError
        When no column tells patients apart, or none names images.
    """
    patient = patient_column(dataset)
    files = [column for column in dataset.columns if _names_files(dataset, column)]
    masks = [column for column in files if _MASK_WORDS.search(column.lower())]
    images = [column for column in files if column not in masks]
    if not images:
        raise BenchmarkDataError(
            f"{dataset.name}: expected a column that names images, got {', '.join(dataset.columns)}"
        )
    stem = re.sub(r"[^a-z0-9]+", "-", dataset.name.lower()).strip("-") or "pack"
    known = {
        "track": "packs",
        "dataset": dataset.name,
        "modality": dataset.modality,
        "body_region": "",
        "values": _values_of(dataset, images[0]),
        "patient": patient,
        "note": "task suggested by the table's columns",
    }
    for mask in masks:
        image = _image_of(mask, images)
        votes: dict[str, Any] = {"mask_from": 120.0} if "vote" in mask.lower() else _classes_of(dataset, mask)
        single = len(votes.get("mask_values", (1.0,))) == 1
        structures = {"structures": _structures_of(f"{dataset.name}_{mask}".lower())} if single else {}
        yield Task.model_validate(
            {**known, **votes, **structures, "name": f"{stem}-{_slug(mask)}", "kind": "segmentation", "image": image,
             "mask": mask, "protocols": ("dense",), "metric": "dice"}
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
    measured = _MEASURED.search(column.lower()) is not None
    if numbers is not None and (measured or len(numbers) > _MANY or any(number % 1 for number in numbers)):
        return "regression" if len(numbers) >= _SOME else None
    patients: dict[str, set[str]] = {}
    for row in dataset.rows:
        patients.setdefault(row[column], set()).add(row[patient])
    several = {cell for cell in cells if len(patients[cell]) > 1}
    told = [row[column] in several for row in dataset.rows if row[column]]
    is_class = 2 <= len(several) <= len(cells) <= _FEW and sum(told) >= _ASKED_TWICE * len(told)
    return "classification" if is_class else None


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
    """Of the first image: pictures are somebody's grey levels, CT in other files is in HU, and what holds air."""
    row = next(row for row, cells in enumerate(dataset.rows) if cells[image])
    name = dataset.rows[row][image].lower()
    is_picture = not name.endswith((".nii", ".nii.gz", ".dcm"))
    if dataset.modality and not is_picture:
        return "hu" if dataset.modality == "CT" else "scanner"
    pixels = dataset.read_image(row, image).array
    if is_picture:
        return "8-bit" if pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint8).max else "scanner"
    return "hu" if pixels.min() <= AIR_HU else "scanner"


def _modality_of(folder: Path, rows: Sequence[dict[str, str]]) -> str:
    """As the folder's name tells it, else as the header of the first DICOM file does."""
    words = re.split(r"[^a-z0-9]+", folder.name.lower())
    if "ct" in words or {"mr", "mri"} & set(words):
        return "CT" if "ct" in words else "MR"
    cells = (folder / cell for row in rows for cell in row.values() if cell.lower().endswith(".dcm"))
    first = next(cells, None)
    return picture_modality(first) if first is not None and first.is_file() else ""


def _structures_of(words: str) -> tuple[str, ...]:
    return tuple(name for name, pattern in _STRUCTURES.items() if pattern.search(words))[:1]


def _classes_of(dataset: DataSet, mask: str) -> dict[str, Any]:
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
