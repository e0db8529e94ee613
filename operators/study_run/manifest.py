"""``result.json``: what a run found, wrote and took. Written last; a folder without it holds no result.

The field names and words are a published contract (`python -m app --print-schema`). No field holds a patient's name,
id, birth date or free header text.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.domain.concepts import Code
from operators.domain.finding import Localisation
from operators.domain.follow_up import FollowUp
from operators.domain.measurement import Measurement
from operators.domain.registration import TransformKind, Verdict
from operators.study_run.journal import RunWarning, Stage

FILE_NAME = "result.json"

Status = Literal["completed", "partial", "not-applicable", "failed"]
OutputKind = Literal["SEG", "SR", "REG", "DREG", "PM", "KO", "SC", "PDF"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Entry):
    """Why a run is not completed; ``code`` is a stable word, ``message`` one line for people."""

    code: str
    message: str


class SeriesEntry(_Entry):
    series_instance_uid: str
    modality: str
    num_instances: int
    decision: Literal["selected", "rejected"]
    role: str | None
    score: float
    reasons: tuple[str, ...]


class HeadEntry(_Entry):
    name: str
    sha256: str
    task: str


class ModelEntry(_Entry):
    name: str
    version: str
    encoder_sha256: str
    demonstration: bool
    heads: tuple[HeadEntry, ...]


class FindingEntry(_Entry):
    """What was looked for and what was found.

    reason : why *present* is null, in plain words"""

    name: str
    code: Code
    site: Code | None
    head: str
    probability: float | None = Field(ge=0, le=1)
    threshold: float | None = Field(ge=0, le=1)
    present: bool | None
    reason: str | None = None
    localisation: Localisation | None


class RegistrationEntry(_Entry):
    """How a series of the study lies on one of a prior.

    quality : figures by name, such as the share of folded voxels
    outputs : SOP Instance UIDs of the objects that came of it: the transform, and the SEG with the prior's segments;
        none where the verdict is "failed"
    """

    fixed_series_instance_uid: str
    moving_series_instance_uid: str
    transform: TransformKind
    verdict: Verdict
    quality: dict[str, float]
    outputs: tuple[str, ...]


class OutputEntry(_Entry):
    path: str
    kind: OutputKind
    sop_class_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sha256: str
    bytes: int


class ResultManifest(_Entry):
    """The whole of ``result.json``.

    follow_up : one entry for each series that was compared with at least one earlier study
    """

    # "schema" is the contract's word; as a Python name it would hide a pydantic method.
    schema_: Literal["curia-pacs/result/1"] = Field("curia-pacs/result/1", alias="schema")
    status: Status
    reason: Reason | None = None
    study_instance_uid: str | None = None
    frame_of_reference_uids: tuple[str, ...] = ()
    series: tuple[SeriesEntry, ...] = ()
    model: ModelEntry | None = None
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    findings: tuple[FindingEntry, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    registration: tuple[RegistrationEntry, ...] = ()
    follow_up: tuple[FollowUp, ...] = ()
    outputs: tuple[OutputEntry, ...] = ()
    warnings: tuple[RunWarning, ...] = ()
