"""The few things we ask of Orthanc's REST API."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import httpx
import tenacity
from pydantic import TypeAdapter

from orthanc_plugin.archive import answers
from orthanc_plugin.archive.answers import (
    Changes,
    StoredInstance,
    found_study,
    is_a_page,
    not_understood,
    understood,
    understood_text,
)
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.domain.errors import (
    ArchiveDeniedError,
    ArchiveError,
    ArchiveFileDamagedError,
    ArchiveNotUnderstoodError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    ResourceGoneError,
    ServiceStopping,
)
from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.prior import FoundStudy, Person
from orthanc_plugin.site.orthanc_access import OrthancAccess

PAGE = 500
SEND_SECONDS = 120.0
T = TypeVar("T")

TIME: TypeAdapter[datetime] = TypeAdapter(answers.Time)
MD5: TypeAdapter[str] = TypeAdapter(answers.Md5)
BYTES: TypeAdapter[int] = TypeAdapter(answers.Count)
TITLE: TypeAdapter[str] = TypeAdapter(answers.Title)
STUDY = TypeAdapter(answers.Study)
STUDIES = TypeAdapter(tuple[answers.Study, ...])
SERIES = TypeAdapter(tuple[answers.Series, ...])
PATIENT = TypeAdapter(answers.Patient)
HEADER = TypeAdapter(answers.Header)
RESOURCES = TypeAdapter(tuple[answers.Resource, ...])
CHANGES = TypeAdapter(answers.Changes)
UPLOAD = TypeAdapter(answers.StoredInstance)
SENT = TypeAdapter(answers.Sent)
QUERY = TypeAdapter(answers.Query)
FOUND = TypeAdapter(tuple[answers.Tags, ...])
COMMITMENT = TypeAdapter(answers.CommitmentReport)
LABELS = TypeAdapter(tuple[answers.Word, ...])


class OrthancClient:
    """REST calls, every one of them safe to repeat: an instance that is stored twice is "AlreadyStored".

    patience_seconds : how long a call is repeated while Orthanc does not answer or fails
    stop : set when the service goes down; a waiting call then raises ``ServiceStopping``
    faults : told of every answer that did not come or was none
    """

    def __init__(
        self,
        access: OrthancAccess,
        *,
        patience_seconds: float,
        stop: threading.Event,
        faults: RecentFaults | None = None,
    ) -> None:
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
        self._faults = faults or RecentFaults()

    def close(self) -> None:
        self._http.close()

    def now(self) -> datetime:
        return self._patiently(lambda: understood_text(TIME, self._call_once("GET", "/tools/now")))

    def study(self, study_id: str) -> StudyFacts:
        return self._ask(STUDY, "GET", f"/studies/{study_id}").facts()

    def studies(self) -> Iterator[StudyFacts]:
        """Every study, page by page."""
        since = 0
        while True:
            page = self._ask(STUDIES, "GET", "/studies", params={"expand": "", "since": since, "limit": PAGE})
            yield from (study.facts() for study in page)
            if len(page) < PAGE:
                return
            since += PAGE

    def series(self, study_id: str) -> tuple[SeriesFacts, ...]:
        return tuple(one.facts() for one in self._ask(SERIES, "GET", f"/studies/{study_id}/series"))

    def studies_of_same_patient(self, study_id: str) -> tuple[StudyFacts, ...]:
        """All studies under the Patient ID of this one, itself among them."""
        patient = self._ask(PATIENT, "GET", f"/studies/{study_id}/patient").patient_id
        return tuple(study.facts() for study in self._ask(STUDIES, "GET", f"/patients/{patient}/studies"))

    def person(self, instance_id: str) -> Person:
        """Whom an image says that it shows; kept nowhere."""
        return self._ask(HEADER, "GET", f"/instances/{instance_id}/simplified-tags").person()

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
            path = f"/instances/{instance_id}/metadata/RemoteAET"
            return self._patiently(lambda: understood_text(TITLE, self._call_once("GET", path))) or None
        except ResourceGoneError:
            return None

    def changes(self, since: int) -> Changes:
        return self._ask(CHANGES, "GET", "/changes", params={"since": since, "limit": 1000})

    def last_change(self) -> int:
        return self._ask(CHANGES, "GET", "/changes", params={"last": ""}).last

    def instance_file(self, instance_id: str) -> bytes:
        """The instance as it came to Orthanc, read again until it is that.

        ``ArchiveFileDamagedError`` where Orthanc's own storage does not have it any more.
        """
        return self._patiently(lambda: self._checked_file(instance_id))

    def store_instance(self, dicom: bytes) -> StoredInstance:
        return self._ask(UPLOAD, "POST", "/instances", content=dicom)

    def send_to_modality(self, modality: str, instance_id: str, *, storage_commitment: bool) -> str | None:
        """C-STORE to a peer of Orthanc's; gives the transaction of the storage commitment that was asked for."""
        request = {"Resources": [instance_id], "Synchronous": True, "StorageCommitment": storage_commitment}
        answer = self._call_once("POST", f"/modalities/{modality}/store", json=request, timeout=SEND_SECONDS)
        return understood(SENT, answer).commitment

    def find_studies(self, modality: str, query: Mapping[str, str], *, seconds: float) -> tuple[FoundStudy, ...]:
        """C-FIND at a peer of Orthanc's; this and the next try once and do not wait."""
        request = {"Level": "Study", "Query": dict(query)}
        asked = understood(
            QUERY, self._call_once("POST", f"/modalities/{modality}/query", json=request, timeout=seconds)
        )
        path = f"/queries/{asked.query_id}/answers"
        found = understood(FOUND, self._call_once("GET", path, params={"expand": "", "simplify": ""}))
        studies = (found_study(tags, query=asked.query_id, number=number) for number, tags in enumerate(found))
        return tuple(study for study in studies if study is not None)

    def retrieve_study(self, found: FoundStudy, *, seconds: float) -> None:
        """C-MOVE of what a peer answered, to Orthanc itself; ends when all of it has come."""
        path = f"/queries/{found.query}/answers/{found.number}/retrieve"
        self._call_once("POST", path, json={"Synchronous": True}, timeout=seconds)

    def storage_commitment_status(self, transaction: str) -> str:
        """ "Pending", "Success" or "Failure"."""
        return self._ask(COMMITMENT, "GET", f"/storage-commitment/{transaction}").status

    def labels(self, study_id: str) -> tuple[str, ...] | None:
        """Of a study; None from an Orthanc that has no labels. This and the next three try once and do not wait."""
        try:
            return understood(LABELS, self._call_once("GET", f"/studies/{study_id}/labels"))
        except ResourceGoneError:
            return None

    def add_label(self, study_id: str, label: str) -> None:
        self._call_once("PUT", f"/studies/{study_id}/labels/{label}")

    def remove_label(self, study_id: str, label: str) -> None:
        self._call_once("DELETE", f"/studies/{study_id}/labels/{label}")

    def put_metadata(self, study_id: str, number: int, text: str) -> None:
        self._call_once("PUT", f"/studies/{study_id}/metadata/{number}", content=text)

    def _lookup(self, uid: str, level: str) -> tuple[str, ...]:
        found = self._ask(RESOURCES, "POST", "/tools/lookup", content=uid)
        return tuple(one.resource_id for one in found if one.level == level)

    def _checked_file(self, instance_id: str) -> bytes:
        attachment = f"/instances/{instance_id}/attachments/dicom"
        try:
            dicom = self._call_once("GET", f"/instances/{instance_id}/file").content
            if self._is_as_noted(attachment, dicom):
                return dicom
        except (ArchiveDeniedError, ArchiveNotUnderstoodError):
            raise
        except ArchiveUnavailableError:
            self._refuse_damaged(attachment)
            raise
        self._refuse_damaged(attachment)
        raise ArchiveNotUnderstoodError(
            f"{len(dicom)} bytes came as an instance and are not what Orthanc has; is a proxy or a log-in page between?"
        )

    def _is_as_noted(self, attachment: str, dicom: bytes) -> bool:
        """Whether it is what came in, by Orthanc's index."""
        try:
            noted = understood_text(MD5, self._call_once("GET", f"{attachment}/md5"))
        except ResourceGoneError:
            # A site may have turned StoreMD5ForAttachments off.
            return len(dicom) == understood(BYTES, self._call_once("GET", f"{attachment}/size"))
        return hashlib.md5(dicom, usedforsecurity=False).hexdigest() == noted

    def _refuse_damaged(self, attachment: str) -> None:
        """Ask Orthanc to read its own file; one that is gone is an error of its own, while the index still answers."""
        try:
            self._call_once("POST", f"{attachment}/verify-md5")
            return
        except ArchiveRefusedError:
            pass
        except ArchiveUnavailableError:
            understood(BYTES, self._call_once("GET", f"{attachment}/size"))
        raise ArchiveFileDamagedError(
            "Orthanc's own file of an image is cut, changed or gone from its storage; expected what its index noted; "
            "restore the storage or send the study again"
        )

    def _ask(self, shape: TypeAdapter[T], method: str, path: str, **request: Any) -> T:
        """The answer as *shape*; one of another is as good as none, and waited out like that."""
        return self._patiently(lambda: understood(shape, self._call_once(method, path, **request)))

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._patiently(lambda: self._call_once(method, path, **request))

    def _patiently(self, call: Callable[[], T]) -> T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ArchiveUnavailableError),
            stop=tenacity.stop_after_delay(self._patience_seconds) | tenacity.stop_when_event_set(self._stop),
            wait=tenacity.wait_exponential(multiplier=0.25, max=5.0),
            sleep=tenacity.sleep_using_event(self._stop),
            before_sleep=lambda state: self._note(state.outcome),
            reraise=True,
        )
        try:
            return retrying(call)
        except ArchiveUnavailableError as error:
            if self._stop.is_set():
                raise ServiceStopping from None
            self._faults.note(error)
            raise

    def _note(self, outcome: tenacity.Future | None) -> None:
        error = None if outcome is None else outcome.exception()
        if isinstance(error, ArchiveError):
            self._faults.note(error)

    def _call_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        asked = f"{method} {path.split('/')[1]}"
        try:
            response = self._http.request(method, path, **request)
        except httpx.DecodingError as error:
            raise ArchiveNotUnderstoodError(f"the answer to {asked} is compressed in no way that it says") from error
        except httpx.TransportError as error:
            raise ArchiveUnavailableError(f"Orthanc does not answer ({type(error).__name__})") from error
        if response.status_code == httpx.codes.OK:
            return response
        raise _error_of(response, asked)


def _error_of(answer: httpx.Response, asked: str) -> ArchiveError:
    status = answer.status_code
    words = f"Orthanc answered {status} to {asked}"
    if status in (401, 403, 407):
        return ArchiveDeniedError(f"{words}; expected a user or token with full rights, are they still valid?")
    if status < 400 or is_a_page(answer):
        return not_understood(answer, f"{len(answer.content)} bytes")
    if status == 404:
        return ResourceGoneError(words)
    return (ArchiveUnavailableError if status >= 500 or status in (408, 425, 429) else ArchiveRefusedError)(words)
