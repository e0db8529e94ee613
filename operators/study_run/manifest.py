"""``result.json``: what a run found, wrote and took. Written last; a folder without it holds no result.

The field names and words are a published contract (`python -m app --print-schema`). No field holds a patient's name,
id, birth date or free header text.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FILE_NAME = "result.json"

Status = Literal["completed", "partial", "not-applicable", "failed"]
OutputKind = Literal["SEG", "SR", "REG", "DREG", "PM", "KO", "SC", "PDF"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeRecord(_Record):
    value: str
    scheme: str
    meaning: str


class Reason(_Record):
    """Why a run is not completed; ``code`` is a stable word, ``message`` one line for people."""

    code: str
    message: str


class SeriesRecord(_Record):
    series_instance_uid: str
    modality: str
    num_instances: int
    decision: Literal["selected", "rejected"]
    role: str | None
    score: float
    reasons: tuple[str, ...]


class HeadRecord(_Record):
    name: str
    sha256: str
    task: str


class ModelRecord(_Record):
    name: str
    version: str
    encoder_sha256: str
    demonstration: bool
    heads: tuple[HeadRecord, ...]


class StageRecord(_Record):
    name: str
    seconds: float
    device: str


class LocalisationRecord(_Record):
    segment_number: int | None
    sop_instance_uid: str
    point_lps_mm: tuple[float, float, float]
    tracking_uid: str
    volume_ml: float | None


class FindingRecord(_Record):
    name: str
    code: CodeRecord
    site: CodeRecord | None
    head: str
    probability: float | None = Field(ge=0, le=1)
    threshold: float | None = Field(ge=0, le=1)
    present: bool | None
    localisation: LocalisationRecord | None


class MeasurementRecord(_Record):
    name: str
    code: CodeRecord
    value: float
    unit: CodeRecord
    series_instance_uid: str
    segment_number: int
    tracking_uid: str


class RegistrationRecord(_Record):
    """The transform to the prior: its kind, quality figures and the frames of reference it joins."""

    kind: str
    fixed_frame_of_reference_uid: str
    moving_frame_of_reference_uid: str
    quality: dict[str, float]


class OutputRecord(_Record):
    path: str
    kind: OutputKind
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sha256: str
    bytes: int


class WarningRecord(_Record):
    code: str
    message: str


class ResultManifest(_Record):
    """The whole of ``result.json``."""

    # "schema" is the contract's word; as a Python name it would hide a pydantic method.
    schema_: Literal["curia-pacs/result/1"] = Field("curia-pacs/result/1", alias="schema")
    status: Status
    reason: Reason | None = None
    study_instance_uid: str | None = None
    frame_of_reference_uids: tuple[str, ...] = ()
    series: tuple[SeriesRecord, ...] = ()
    model: ModelRecord | None = None
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    stages: tuple[StageRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    measurements: tuple[MeasurementRecord, ...] = ()
    registration: RegistrationRecord | None = None
    outputs: tuple[OutputRecord, ...] = ()
    warnings: tuple[WarningRecord, ...] = ()
