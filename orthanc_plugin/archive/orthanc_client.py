"""The few things we ask of Orthanc's REST API."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import tenacity

from orthanc_plugin.domain.errors import (
    ArchiveError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    ResourceGoneError,
    ServiceStopping,
)
from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.site.orthanc_access import OrthancAccess

PAGE = 500
SEND_SECONDS = 120.0
# What results copy from their source, as far as Orthanc knows it without opening a file.
DEMOGRAPHICS = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "StudyDescription", "ReferringPhysicianName",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """Orthanc's answer to an upload. status : "Success" or "AlreadyStored"."""

    instance_id: str
    series_id: str
    study_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Changes:
    """A piece of the change log: (type, resource type, resource id) of each, and the last sequence number."""

    entries: tuple[tuple[str, str, str], ...]
    last: int
    done: bool


class OrthancClient:
    """REST calls, every one of them safe to repeat: an instance that is stored twice is "AlreadyStored".

    patience_seconds : how long a call is repeated while Orthanc does not answer or fails
    stop : set when the service goes down; a waiting call then raises ``ServiceStopping``
    """

    def __init__(self, access: OrthancAccess, *, patience_seconds: float, stop: threading.Event) -> None:
        # Orthanc 1.10 compresses by default, which makes fetching a series fourteen times slower.
        headers = {"Accept-Encoding": "identity"}
        auth = None
        if access.authorization is not None:
            headers["Authorization"] = access.authorization.get_secret_value()
        elif access.username is not None and access.password is not None:
            auth = httpx.BasicAuth(access.username, access.password.get_secret_value())
        self._http = httpx.Client(
            base_url=access.url.rstrip("/"), headers=headers, auth=auth, timeout=30.0, trust_env=False
        )
        self._patience_seconds = patience_seconds
        self._stop = stop

    def close(self) -> None:
        self._http.close()

    def now(self) -> datetime:
        return _parse_time(self._call("GET", "/tools/now").text)

    def study(self, study_id: str) -> StudyFacts:
        return _study_facts(self._call("GET", f"/studies/{study_id}").json())

    def studies(self) -> Iterator[StudyFacts]:
        """Every study, page by page."""
        since = 0
        while True:
            page = self._call("GET", "/studies", params={"expand": "", "since": since, "limit": PAGE}).json()
            yield from map(_study_facts, page)
            if len(page) < PAGE:
                return
            since += PAGE

    def series(self, study_id: str) -> tuple[SeriesFacts, ...]:
        return tuple(_series_facts(one) for one in self._call("GET", f"/studies/{study_id}/series").json())

    def studies_named(self, study_instance_uid: str) -> tuple[str, ...]:
        """Orthanc ids of the studies with this UID: more than one when it lies under several patients."""
        return self._lookup(study_instance_uid, "Study")

    def instances_named(self, sop_instance_uid: str) -> tuple[str, ...]:
        return self._lookup(sop_instance_uid, "Instance")

    def delete_instance(self, instance_id: str) -> None:
        self._call("DELETE", f"/instances/{instance_id}")

    def calling_aet(self, instance_id: str) -> str | None:
        """Title of the application entity that sent the instance, None when it did not come by C-STORE."""
        try:
            return self._call("GET", f"/instances/{instance_id}/metadata/RemoteAET").text or None
        except ResourceGoneError:
            return None

    def changes(self, since: int) -> Changes:
        answer = self._call("GET", "/changes", params={"since": since, "limit": 1000}).json()
        entries = tuple((one["ChangeType"], one["ResourceType"], one["ID"]) for one in answer["Changes"])
        return Changes(entries, int(answer["Last"]), bool(answer["Done"]))

    def last_change(self) -> int:
        return int(self._call("GET", "/changes", params={"last": ""}).json()["Last"])

    def instance_file(self, instance_id: str) -> bytes:
        return self._call("GET", f"/instances/{instance_id}/file").content

    def store_instance(self, dicom: bytes) -> StoredInstance:
        answer = self._call("POST", "/instances", content=dicom).json()
        return StoredInstance(answer["ID"], answer["ParentSeries"], answer["ParentStudy"], answer["Status"])

    def send_to_modality(self, modality: str, instance_id: str, *, storage_commitment: bool) -> str | None:
        """C-STORE to a peer of Orthanc's; gives the transaction of the storage commitment that was asked for."""
        request = {"Resources": [instance_id], "Synchronous": True, "StorageCommitment": storage_commitment}
        answer = self._call_once("POST", f"/modalities/{modality}/store", json=request, timeout=SEND_SECONDS).json()
        transaction: str | None = answer.get("StorageCommitmentTransactionUID")
        return transaction

    def storage_commitment_status(self, transaction: str) -> str:
        """ "Pending", "Success" or "Failure"."""
        return str(self._call("GET", f"/storage-commitment/{transaction}").json()["Status"])

    def _lookup(self, uid: str, level: str) -> tuple[str, ...]:
        found = self._call("POST", "/tools/lookup", content=uid).json()
        return tuple(one["ID"] for one in found if one["Type"] == level)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ArchiveUnavailableError),
            stop=tenacity.stop_after_delay(self._patience_seconds) | tenacity.stop_when_event_set(self._stop),
            wait=tenacity.wait_exponential(multiplier=0.25, max=5.0),
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            return retrying(self._call_once, method, path, **request)
        except ArchiveUnavailableError:
            if self._stop.is_set():
                raise ServiceStopping from None
            raise

    def _call_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise ArchiveUnavailableError(f"Orthanc does not answer ({type(error).__name__})") from error
        if response.is_success:
            return response
        raise _error_of(response.status_code)(
            f"Orthanc answered {response.status_code} to {method} {path.split('/')[1]}"
        )


def _error_of(status: int) -> Callable[[str], ArchiveError]:
    if status == 404:
        return ResourceGoneError
    if status >= 500 or status in (408, 429):
        return ArchiveUnavailableError
    return ArchiveRefusedError


def _study_facts(answer: dict[str, Any]) -> StudyFacts:
    tags = answer.get("PatientMainDicomTags", {}) | answer["MainDicomTags"]
    demographics = [tags.get(keyword) for keyword in DEMOGRAPHICS]
    return StudyFacts(
        orthanc_id=answer["ID"],
        study_instance_uid=answer["MainDicomTags"].get("StudyInstanceUID", ""),
        is_stable=bool(answer["IsStable"]),
        last_update=_parse_time(answer["LastUpdate"]),
        tags=answer["MainDicomTags"],
        demographics=hashlib.sha256(json.dumps(demographics).encode()).hexdigest(),
    )


def _series_facts(answer: dict[str, Any]) -> SeriesFacts:
    tags = answer["MainDicomTags"]
    # Orthanc multiplies temporal positions and the like; a single acquisition's count it only keeps. The tag of
    # query answers is there where a site has added it to Orthanc's main tags and the modality writes it.
    told = (answer.get("ExpectedNumberOfInstances"), tags.get("NumberOfSeriesRelatedInstances"))
    expected = next((value for value in told if value), tags.get("ImagesInAcquisition"))
    return SeriesFacts(
        series_instance_uid=tags.get("SeriesInstanceUID", ""),
        modality=tags.get("Modality", ""),
        instance_ids=tuple(answer["Instances"]),
        tags=tags,
        expected=int(expected) if str(expected).isdecimal() else None,
    )


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text.strip(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
