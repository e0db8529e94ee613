"""Orthanc's answers, as far as they are read: checked, bounded and cleaned before anything is done with them.

What is Orthanc's own (ids, counts, times) has to be as Orthanc writes it, else the answer is not Orthanc's. What comes
out of a study's headers may be anything.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from orthanc_plugin.domain.errors import ArchiveNotUnderstoodError
from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.prior import FoundStudy, Person, moment_of
from orthanc_plugin.domain.text import bounded

UID_LENGTH = 64
MODALITY_LENGTH = 16
"""Longest UID and longest Code String (PS3.5 6.2)."""
TAG_LENGTH = 1024
EXPECTED_DIGITS = 6
"""Digits of a number of images; no modality announces a million in one series."""
UID = re.compile(rf"[!-~]{{1,{UID_LENGTH}}}")
"""No more than what can be stored and asked for; whether it is a valid UID is the pipeline's to say."""
DEMOGRAPHICS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "StudyDescription", "ReferringPhysicianName",
)  # fmt: skip
"""What results copy from their source, as far as Orthanc knows it without opening a file."""

T = TypeVar("T")


def _as_time(text: Any) -> Any:
    return datetime.strptime(text.strip(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if isinstance(text, str) else text


def _as_tags(tags: Any) -> Any:
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else tags


Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Time = Annotated[datetime, BeforeValidator(_as_time)]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Tags = Annotated[dict[str, str], BeforeValidator(_as_tags)]
Title = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,16}$")]
"""Title of an application entity (AE, PS3.5 6.2)."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StoredInstance(_Answer):
    """Orthanc's answer to an upload. status : "Success" or "AlreadyStored" where Orthanc has it."""

    instance_id: Id = Field(validation_alias="ID")
    series_id: Id = Field(validation_alias="ParentSeries")
    study_id: Id = Field(validation_alias="ParentStudy")
    status: Word = Field(validation_alias="Status")


class Change(_Answer):
    change_type: Word = Field(validation_alias="ChangeType")
    resource_type: Word = Field(validation_alias="ResourceType")
    resource_id: Id = Field(validation_alias="ID")


class Changes(_Answer):
    """A piece of the change log. last : sequence number of its last entry."""

    entries: tuple[Change, ...] = Field(validation_alias="Changes")
    last: Count = Field(validation_alias="Last")
    done: bool = Field(validation_alias="Done")


class Resource(_Answer):
    """Something that was looked up by its UID."""

    resource_id: Id = Field(validation_alias="ID")
    level: Word = Field(validation_alias="Type")


class Sent(_Answer):
    """Orthanc's answer to the order to send something to a peer."""

    commitment: str | None = Field(None, validation_alias="StorageCommitmentTransactionUID", max_length=64)


class Query(_Answer):
    """Under which id Orthanc keeps what a peer answered."""

    query_id: Id = Field(validation_alias="ID")


class CommitmentReport(_Answer):
    """Whether a peer has taken over what was sent.

    status : "Pending", "Success" or "Failure".
    """

    status: Word = Field(validation_alias="Status")


class Study(_Answer):
    orthanc_id: Id = Field(validation_alias="ID")
    is_stable: bool = Field(validation_alias="IsStable")
    last_update: Time = Field(validation_alias="LastUpdate")
    tags: Tags = Field(validation_alias="MainDicomTags")
    patient_tags: Tags = Field({}, validation_alias="PatientMainDicomTags")

    def facts(self) -> StudyFacts:
        tags = self.patient_tags | self.tags
        demographics = [tags.get(keyword) for keyword in DEMOGRAPHICS]
        uid = self.tags.get("StudyInstanceUID", "")
        return StudyFacts(
            orthanc_id=self.orthanc_id,
            study_instance_uid=bounded(uid, UID_LENGTH),
            is_stable=self.is_stable,
            last_update=self.last_update,
            tags=_bounded_tags(self.tags),
            demographics=hashlib.sha256(json.dumps(demographics).encode()).hexdigest(),
            defect=None if UID.fullmatch(uid) else _defect_of_uid(uid),
        )


class Patient(_Answer):
    patient_id: Id = Field(validation_alias="ID")


class Header(_Answer):
    """Header values of an instance, by keyword; an empty value, or one of several, says nothing."""

    patient_id: Any = Field("", validation_alias="PatientID")
    issuer: Any = Field("", validation_alias="IssuerOfPatientID")
    birth_date: Any = Field("", validation_alias="PatientBirthDate")
    sex: Any = Field("", validation_alias="PatientSex")

    def person(self) -> Person:
        said = (self.patient_id, self.issuer, self.birth_date, self.sex)
        return Person(*(value.strip() if isinstance(value, str) else "" for value in said))


def found_study(tags: Mapping[str, str], *, query: str, number: int) -> FoundStudy | None:
    """What a peer of Orthanc's answered of a study; None where it has no UID that can be asked for."""
    uid = tags.get("StudyInstanceUID", "").strip()
    if not UID.fullmatch(uid):
        return None
    return FoundStudy(
        study_instance_uid=uid,
        moment=moment_of(tags.get("StudyDate", "").strip(), tags.get("StudyTime", "").strip()),
        person=Header.model_validate(tags).person(),
        modalities=frozenset(filter(None, tags.get("ModalitiesInStudy", "").split("\\"))),
        query=query,
        number=number,
    )


class Series(_Answer):
    instance_ids: tuple[Id, ...] = Field(validation_alias="Instances")
    tags: Tags = Field(validation_alias="MainDicomTags")
    expected: int | None = Field(None, validation_alias="ExpectedNumberOfInstances")

    def facts(self) -> SeriesFacts:
        # Orthanc multiplies temporal positions and the like; a single acquisition's count it only keeps. The tag of
        # query answers is there where a site has added it to Orthanc's main tags and the modality writes it.
        told = (self.expected, self.tags.get("NumberOfSeriesRelatedInstances"))
        expected = str(next((value for value in told if value), self.tags.get("ImagesInAcquisition")))
        return SeriesFacts(
            series_instance_uid=bounded(self.tags.get("SeriesInstanceUID", ""), UID_LENGTH),
            modality=bounded(self.tags.get("Modality", ""), MODALITY_LENGTH),
            instance_ids=self.instance_ids,
            tags=_bounded_tags(self.tags),
            expected=int(expected) if re.fullmatch(rf"[0-9]{{1,{EXPECTED_DIGITS}}}", expected) else None,
        )


def understood(shape: TypeAdapter[T], answer: httpx.Response) -> T:
    """The answer's JSON; ``ArchiveNotUnderstoodError`` where it is none of that shape."""
    try:
        return shape.validate_json(answer.content)
    except ValidationError as error:
        # Neither the values nor the names in them: they may be a patient's.
        what = "JSON of another shape" if error.errors(include_input=False)[0]["type"] != "json_invalid" else "no JSON"
        raise not_understood(answer, f"{what}, {len(answer.content)} bytes") from None


def understood_text(shape: TypeAdapter[T], answer: httpx.Response) -> T:
    """The answer's text; ``ArchiveNotUnderstoodError`` likewise. Few answers are plain text."""
    try:
        return shape.validate_python(answer.text)
    except ValidationError:
        raise not_understood(answer, f"text of {len(answer.content)} bytes") from None


def is_a_page(answer: httpx.Response) -> bool:
    """Whether the answer is meant for a browser; Orthanc describes its errors in JSON, or not at all."""
    return answer.content.lstrip()[:1] == b"<"


def not_understood(answer: httpx.Response, what: str) -> ArchiveNotUnderstoodError:
    asked = f"{answer.request.method} {answer.request.url.path.split('/')[1]}"
    return ArchiveNotUnderstoodError(
        f"what answered {asked} is not Orthanc: expected its own JSON, got {answer.status_code} with {what}; "
        "is a proxy or a log-in page between?"
    )


def _bounded_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {bounded(name, 64): bounded(value, TAG_LENGTH) for name, value in tags.items()}


def _defect_of_uid(uid: str) -> str:
    if not uid:
        return "it has no Study Instance UID"
    return (
        f"its Study Instance UID is not one: expected at most {UID_LENGTH} digits and dots, got {len(uid)} characters"
    )
