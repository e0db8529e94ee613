"""A task: which columns of a data set are asked for, of which images, by which protocols."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from operators.documents import first_problem

Track = Literal["2d", "3d", "findings", "registration", "survival", "fomo", "unicorn", "vqa", "packs"]
Kind = Literal["classification", "multi-label", "regression", "segmentation", "survival", "registration"]
Values = Literal["hu", "8-bit", "scanner"]
Protocol = Literal[
    "linear", "knn", "few-shot", "data-efficiency", "attention", "ridge", "cox", "dense", "alignment", "nearest-tokens"
]

TRACKS: tuple[Track, ...] = (
    "2d", "3d", "findings", "registration", "survival", "fomo", "unicorn", "vqa", "packs",
)  # fmt: skip


def tracks_of(word: str) -> tuple[Track, ...]:
    """The track that a word names; of "all" every one.

    Raises
    ------
    ValueError
        For another word.
    """
    if word == "all":
        return TRACKS
    found = tuple(track for track in TRACKS if track == word)
    if not found:
        raise ValueError(f"--track: expected one of {', '.join(TRACKS)} or all, got {word!r}")
    return found


LAYOUT = 1
"""Version of the layout of task files, and of the data sets that they describe."""

TASKS = Path(__file__).parent / "tasks"


class Exclusion(BaseModel):
    """Rows that a task leaves out: those whose cell begins with a prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    prefix: str


class Task(BaseModel):
    """One question to a data set.

    dataset : name of the data set's folder; of a pack a part of it
    values : what a voxel's value means: HU, 8 bits after somebody's windowing, or a scanner's own units
    input : "slice" takes features of the whole image, "roi" those under the mask, "volume" the mean over slices
    image, mask, target, patient : columns; for registration *image* is fixed and *moving* is moved onto it
    mask_from : voxels of the mask count from this value on; None takes its numbers for classes
    mask_values : the numbers that stand for the classes of a segmentation, in their order; empty for 1, 2, 3, ...
    ranges : classes as ranges of a number, both ends included; rows in none are left out
    structures : for a segmentation the name that a head's label has for each class, where heads may know them
    event : for survival the column that says whether the time ended with the event (1) or was cut off (0)
    findings : for many labels at once, their columns; empty takes every column that holds 0, 1 or nothing
    train_modality : where the column modality says so the row is fitted on, all others are asked about
    slices : at most so many slices of a volume, evenly spaced
    per_patient : at most so many images of a patient where every token is kept, evenly spaced
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    track: Track
    dataset: str
    modality: str
    body_region: str
    values: Values
    input: Literal["slice", "roi", "volume"] = "slice"
    kind: Kind
    image: str = "image"
    moving: str = ""
    mask: str = ""
    moving_mask: str = ""
    mask_from: float | None = None
    mask_values: tuple[float, ...] = ()
    target: str = ""
    classes: tuple[str, ...] = ()
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    structures: tuple[str, ...] = ()
    event: str = ""
    findings: tuple[str, ...] = ()
    patient: str = "patient_id"
    exclude: Exclusion | None = None
    train_modality: str = ""
    slices: int = Field(16, gt=0)
    per_patient: int = Field(4, gt=0)
    protocols: tuple[Protocol, ...] = Field(min_length=1)
    metric: str
    note: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        needed = {
            "classification": ("target",),
            "regression": ("target",),
            "segmentation": ("mask",),
            "survival": ("target", "event"),
            "registration": ("moving", "mask", "moving_mask"),
            "multi-label": (),
        }[self.kind]
        missing = [field for field in needed if not getattr(self, field)]
        if self.input == "roi" and not self.mask:
            missing.append("mask")
        if missing:
            raise ValueError(f"{self.kind} needs {' and '.join(missing)}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """What its data set has to have."""
        named = (self.image, self.moving, self.mask, self.moving_mask, self.target, self.event, self.patient)
        others = (*self.findings, "modality" if self.train_modality else "")
        return tuple(dict.fromkeys(name for name in (*named, *others) if name))

    @property
    def keeps_tokens(self) -> bool:
        return self.kind in ("segmentation", "registration") or "attention" in self.protocols


def read_tasks(folder: Path = TASKS) -> Iterator[Task]:
    """Every declared task, in the order of the files' names.

    Raises
    ------
    ValueError
        Naming the file and what is wrong in it; another layout version is named as such.
    """
    for path in sorted(folder.rglob("*.toml")):
        yield read_task(path)


def read_task(path: Path) -> Task:
    """One task file; see `read_tasks`."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    layout = table.get("layout", LAYOUT)
    if layout != LAYOUT:
        raise ValueError(f"{path}: layout: expected {LAYOUT}, got {layout!r}; this version reads no other")
    try:
        return Task.model_validate(table)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_problem(error)}") from error
