"""The TOML file of ``python -m trainer head``."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from operators.documents import first_problem
from operators.heads.labels import Label
from operators.heads.records import Record
from trainer.head_training.errors import HeadTrainingError
from trainer.heads.calibrating import Method
from trainer.heads.operating_points import OperatingRule
from trainer.heads.optimising import Optimiser


class Columns(Record):
    """What the table's columns are called.

    study : a study's folder, an image file, or a ``features.safetensors`` of the application
    series : Series Instance UID, for studies of which not the best series by the application's rules is meant
    patient : never in two parts of a split, never on both sides of a fold
    split : train, val or test; without this column every patient is fitted on and asked about in turn
    targets : what the head is to answer; of survival the time in days and whether it ended with the event
    mask : a NIfTI label map on the image's grid, for heads that draw
    """

    study: str = "study"
    series: str = "series"
    patient: str = "patient_id"
    split: str = "split"
    targets: tuple[str, ...] = ()
    mask: str = "mask"


class Fit(Optimiser):
    """How weights are found.

    penalties : on half the squared weights of standardised features; of several the one that held-out patients prefer;
        those of the kind where none are given
    class_weights : "balanced", "none", or so much by label
    hidden : width of an attention gate
    """

    penalties: tuple[float, ...] = ()
    class_weights: Literal["balanced", "none"] | dict[str, float] = "balanced"
    hidden: int = Field(64, ge=1)


class DecoderFitting(Record):
    """How a convolutional decoder is fitted: by AdamW, with a learning rate that falls as a half cosine.

    hidden : channels
    steps : batches of so many slices, half of them with something to draw
    dropout : share of the encoder's features that are left out of a slice
    """

    hidden: int = Field(24, ge=1)
    steps: int = Field(500, ge=1)
    batch_size: int = Field(8, ge=1)
    learning_rate: float = Field(0.004, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)


class DistanceScope(Record):
    """How far from the training set a head still answers.

    rank : directions of the training set's features with variances of their own
    percentile : of the training set that lies within the limit
    """

    rank: int = Field(16, ge=1)
    percentile: float = Field(99.0, gt=0, le=100)


class Faithfulness(Record):
    """How the regions that explain a finding are measured.

    studies : of which the regions are deleted, at most; 0 for none
    tries : the same region at so many other places
    """

    studies: int = Field(5, ge=0)
    tries: int = Field(20, ge=1)


class TrainingSettings(Record):
    """A head to be trained.

    model : folder with the encoder, from this file's folder on
    head : keys of head.toml as docs/heads.md has them; encoder, figures, outputs and distance are filled in
    classes : of one target, in the order of the outputs; their names where there is no label
    label : as in labels.toml; made from the targets or classes where there is none
    slices : of each series, evenly spaced, at most so many; 0 takes all
    values : what an image file's numbers mean; of DICOM the headers tell
    folds : of patients; each is asked about by a fit on the others
    """

    model: Path
    head: dict[str, Any]
    columns: Columns = Field(default_factory=Columns)
    classes: tuple[str, ...] = ()
    label: tuple[Label, ...] = ()
    slices: int = Field(0, ge=0)
    values: Literal["hu", "8-bit", "scanner"] = "hu"
    fit: Fit = Field(default_factory=Fit)
    decoder: DecoderFitting = Field(default_factory=DecoderFitting)
    folds: int = Field(5, ge=2)
    seed: int = Field(0, ge=0)
    calibration: Method = "platt"
    operating_point: OperatingRule = Field(default_factory=OperatingRule)
    distance: DistanceScope | None = Field(default_factory=DistanceScope)
    faithfulness: Faithfulness = Field(default_factory=Faithfulness)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("task", "kind", "name"):
            if not isinstance(self.head.get(key), str):
                raise ValueError(f"head: expected {key}, see docs/heads.md")
        filled = {"encoder_sha256", "measured", "outputs", "temperature", "distance"}
        if self.head["task"] == "finding":
            filled |= {"calibration", "threshold", "mask_threshold"}
        filled &= self.head.keys()
        if filled:
            raise ValueError(f"head: {', '.join(sorted(filled))}: filled in by the training, leave it out")
        return self

    @property
    def kind(self) -> tuple[str, str]:
        """Task and kind."""
        return str(self.head["task"]), str(self.head["kind"])


def read_settings(path: Path) -> TrainingSettings:
    """The settings, with the model folder's path resolved.

    Raises
    ------
    HeadTrainingError
        Names the file and the first key that is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HeadTrainingError(f"{path}: cannot be read as TOML ({error})") from error
    try:
        settings = TrainingSettings.model_validate(table)
    except ValidationError as error:
        raise HeadTrainingError(f"{path}: {first_problem(error)}") from error
    return settings.model_copy(update={"model": (path.parent / settings.model).resolve()})
