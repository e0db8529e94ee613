"""What lies in a head's folder: head.toml and labels.toml, as typed records."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from operators.domain.finding import Code
from operators.errors import CheckpointError

Modality = Literal["CT", "MR"]
Region = Literal["head", "chest", "abdomen", "extremity", "other"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Record):
    """One output of a head.

    code : the concept that the output stands for
    category : for outputs that become segments (PS3.3 C.8.20.4, Segmented Property Category)
    site, laterality : where a finding sits, and on which side of the body (CID 244)
    """

    name: str
    code: Code
    category: Code | None = None
    site: Code | None = None
    laterality: Code | None = None

    @model_validator(mode="after")
    def _check_laterality(self) -> Self:
        if self.laterality and not self.site:
            raise ValueError("laterality: expected a site that it is the side of, got none")
        return self


class Scope(_Record):
    """What a head was trained on; outside of it, it is not asked.

    region_confidence : probability that the series shows one of *body_region*, from the body-region head
    """

    modality: tuple[Modality, ...] = Field(min_length=1)
    body_region: tuple[Region, ...] = ()
    region_confidence: float = Field(0.5, ge=0, le=1)


class Calibration(_Record):
    """Logistic: probability = 1 / (1 + exp(-(slope * score + intercept)))."""

    slope: float
    intercept: float


class _Head(Scope):
    """Common to all heads.

    measured : figures on patients that the head did not see, by name
    """

    name: str
    version: str
    encoder_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    data: str
    measured: dict[str, float | int | str] = Field(default_factory=dict)


class BodyRegionRecord(_Head):
    """Linear in [CLS, mean of the patch tokens] of each slice, softmax, mean over the slices."""

    task: Literal["body-region"]
    kind: Literal["linear"]
    inputs: tuple[Literal["cls"], Literal["mean-token"]]
    code: Code


class SegmentationRecord(_Head):
    """Linear in each patch token; background has the evidence 0.

    subdivision : cells along each side of a patch that are judged each by its own
    minimum_volume_ml : smaller connected components are dropped
    """

    task: Literal["segmentation"]
    kind: Literal["linear"]
    inputs: tuple[Literal["tokens"]]
    subdivision: int = Field(ge=1)
    minimum_volume_ml: float = Field(ge=0)


class FindingRecord(_Head):
    """Linear in each patch token, summed up to a probability for the series.

    top_tokens : a slice's score is the mean evidence of so many of its tokens
    calibration : of the best slice's score
    threshold : probability from which the finding is called present
    mask_threshold : evidence from which a voxel belongs to it
    """

    task: Literal["finding"]
    kind: Literal["linear"]
    inputs: tuple[Literal["tokens"]]
    top_tokens: int = Field(ge=1)
    calibration: Calibration
    threshold: float = Field(ge=0, le=1)
    mask_threshold: float
    minimum_volume_ml: float = Field(ge=0)


HeadRecord = Annotated[BodyRegionRecord | SegmentationRecord | FindingRecord, Field(discriminator="task")]
Record = TypeVar("Record")


class Labels(_Record):
    label: tuple[Label, ...] = Field(min_length=1)


def read_head_record(folder: Path) -> BodyRegionRecord | SegmentationRecord | FindingRecord:
    adapter: TypeAdapter[BodyRegionRecord | SegmentationRecord | FindingRecord] = TypeAdapter(HeadRecord)
    return read_toml(folder / "head.toml", adapter)


def read_labels(folder: Path) -> tuple[Label, ...]:
    return read_toml(folder / "labels.toml", TypeAdapter(Labels)).label


def read_toml(path: Path, adapter: TypeAdapter[Record]) -> Record:
    """A TOML file as a checked record.

    Raises
    ------
    CheckpointError
        Names the file and the first field that is wrong.
    """
    place = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise CheckpointError(f"{place}: not found; the model folder is incomplete")
    try:
        return adapter.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise CheckpointError(f"{place}: not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise CheckpointError(f"{place}: {field}: {first['msg']}") from error
