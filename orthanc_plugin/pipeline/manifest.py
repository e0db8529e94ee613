"""``result.json`` as the service reads it: the fields that it looks at, shows or keeps; all others are ignored.

The application publishes the schema (``python -m app --print-schema``); a contract test holds the two together.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from orthanc_plugin.domain.errors import TornResultError

FILE_NAME = "result.json"
BODY_REGION = "123014"
"""Code of the finding that says which part of the body is shown (DCM, Target Region)."""

Uid = Annotated[str, StringConstraints(max_length=64)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Code(_Entry):
    value: str
    scheme: str
    meaning: str


class Reason(_Entry):
    """Why a run is not completed."""

    code: str
    message: str


class Warned(_Entry):
    code: str
    message: str


class Series(_Entry):
    series_instance_uid: str
    modality: str
    num_instances: int
    decision: str
    role: str | None = None
    score: float = 0.0
    reasons: tuple[str, ...] = ()


class Model(_Entry):
    name: str
    version: str
    demonstration: bool


class Stage(_Entry):
    name: str
    seconds: float
    device: str


class Localisation(_Entry):
    segment_number: int | None = None
    sop_instance_uid: str
    point_lps_mm: tuple[float, float, float]
    tracking_uid: str
    volume_ml: float | None = None


class Finding(_Entry):
    """An entry of findings[].

    reason : why *present* is None
    """

    name: str
    code: Code
    site: Code | None
    head: str
    probability: float | None
    threshold: float | None
    present: bool | None
    reason: str | None = None
    localisation: Localisation | None


class Measurement(_Entry):
    """An entry of measurements[].

    segment_number : None for a value of a whole series or study

    head : that gave it; None for what is measured on a mask
    """

    name: str
    code: Code
    value: float
    unit: Code
    series_instance_uid: str
    segment_number: int | None = None
    tracking_uid: str | None = None
    head: str | None = None
    prior_value: float | None = None
    prior_date_days: float | None = None
    change_percent: float | None = None


class Registration(_Entry):
    """How a series was laid on an earlier study's. outputs : SOP Instance UIDs."""

    fixed_series_instance_uid: str
    moving_series_instance_uid: str
    transform: str
    verdict: str
    quality: dict[str, float]
    outputs: tuple[str, ...] = ()


class FollowUpDate(_Entry):
    """A study of the follow-up.

    days_before : to the current study, 0 for the current one itself
    verdict : on its registration
    """

    study_instance_uid: str
    series_instance_uid: str
    days_before: int | None
    verdict: str | None = None


class Sizes(_Entry):
    """Sizes of one thing on one date."""

    volume_ml: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    is_cut_off: bool = False


class Course(_Entry):
    """One thing over time. sizes : one for each date, None where it was not outlined"""

    name: str
    code: Code
    site: Code | None
    is_lesion: bool
    tracking_uid: str
    segment_number: int | None
    sizes: tuple[Sizes | None, ...]
    change_ml: float | None = None
    change_percent: float | None = None
    doubling_time_days: float | None = None


class SumOfDiameters(_Entry):
    """Sum of the diameters of the same lesions on each date."""

    tracking_uids: tuple[str, ...]
    sums_mm: tuple[float, ...]
    change_percent: float
    change_from_smallest_percent: float


class FollowUp(_Entry):
    """What became of what a series shares with earlier studies. dates : the oldest first, the current study last"""

    series_instance_uid: str
    dates: tuple[FollowUpDate, ...]
    courses: tuple[Course, ...]
    sum_of_diameters: SumOfDiameters | None


class Output(_Entry):
    path: str
    kind: str
    sop_class_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid
    sha256: str
    bytes: int


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


class Manifest(_Entry):
    """What a run says of itself."""

    status: str
    reason: Reason | None = None
    series: tuple[Series, ...] = ()
    model: Model | None = None
    stages: tuple[Stage, ...] = ()
    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    # Results of versions without registration have null here.
    registration: Annotated[tuple[Registration, ...], BeforeValidator(_none_is_empty)] = ()
    follow_up: tuple[FollowUp, ...] = ()
    outputs: tuple[Output, ...] = ()
    warnings: tuple[Warned, ...] = ()

    @property
    def has_something_to_look_at(self) -> bool:
        """Whether a finding is present. Which part of the body is shown is none."""
        return any(finding.present and finding.code.value != BODY_REGION for finding in self.findings)


def read_result(folder: Path) -> Manifest | None:
    """The manifest of a finished run whose outputs lie in *folder* as it names them, None where no run finished.

    Raises ``TornResultError`` where the two do not agree.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        check_outputs(folder, manifest)
    return manifest


def check_outputs(folder: Path, manifest: Manifest) -> None:
    for output in manifest.outputs:
        path = folder / output.path
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise TornResultError(f"{output.kind}: {FILE_NAME} names a file that is not in the result folder")
        if sha256_of(path.read_bytes()) != output.sha256:
            raise TornResultError(f"{output.kind}: the file on disk differs from its SHA-256 in {FILE_NAME}")


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a finished run, None where there is none.

    Raises ``TornResultError`` where there is one that cannot be read as such, as after a power cut.
    """
    try:
        return Manifest.model_validate_json((folder / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TornResultError(f"{FILE_NAME}: {place}: {first['msg']}") from error
