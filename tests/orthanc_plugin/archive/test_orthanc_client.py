"""The client and the delivery against a small HTTP server that answers like Orthanc, or fails like it."""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from answering_archive import archive
from orthanc_plugin.archive.delivery import are_in_archive, deliver
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import (
    ArchiveFileDamagedError,
    ArchiveRefusedError,
    ArchiveUnavailableError,
    DeliveryError,
    MisfiledError,
    ResourceGoneError,
    ServiceStopping,
)
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.intake.changes import ChangeLog
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Output
from orthanc_plugin.site.orthanc_access import OrthancAccess

DICOM = b"bytes of an object"
OUTPUT = Output(
    path="a.dcm", kind="SR", sop_class_uid="1", series_instance_uid="2", sop_instance_uid="3",
    sha256=hashlib.sha256(DICOM).hexdigest(), bytes=len(DICOM),
)  # fmt: skip
ANSWER = {"ID": "i", "ParentSeries": "se", "ParentStudy": "st", "Status": "Success"}


CURSOR = "orthanc-changes/here"


def held(dicom: bytes) -> dict[str, list[tuple[int, Any]]]:
    """Answers about an instance that Orthanc has."""
    md5 = hashlib.md5(dicom).hexdigest().encode()
    return {"GET__instances_i_file": [(200, dicom)], "GET__instances_i_attachments_dicom_md5": [(200, md5)]}


def put(client: OrthancClient, folder: Path) -> StoredObject:
    (folder / "a.dcm").write_bytes(DICOM)
    return deliver(client, folder / "a.dcm", OUTPUT, study_id="st")


def test_failures_of_the_archive_are_waited_out() -> None:
    with archive(GET__tools_now=[(503, ""), (500, ""), (200, b"20260131T120000")]) as (client, server):
        assert client.now().isoformat() == "2026-01-31T12:00:00+00:00"
        assert len(server.seen) == 3


def test_requests_carry_the_token_and_ask_for_no_compression() -> None:
    with archive(GET__tools_now=[(200, b"20260131T120000")]) as (client, server):
        client.now()
        headers = server.seen[0][1]
        assert (headers["Authorization"], headers["Accept-Encoding"]) == ("secret", "identity")


@pytest.mark.parametrize(("status", "error"), [(409, ArchiveRefusedError), (404, ResourceGoneError)])
def test_a_refusal_is_not_repeated(status: int, error: type[Exception]) -> None:
    with archive(GET__studies_x=[(status, "")]) as (client, server):
        with pytest.raises(error, match=f"Orthanc answered {status} to GET studies"):
            client.study("x")
        assert len(server.seen) == 1


def test_patience_ends() -> None:
    client = OrthancClient(OrthancAccess("http://127.0.0.1:9"), patience_seconds=0.3, stop=threading.Event())
    with pytest.raises(ArchiveUnavailableError, match="Orthanc does not answer"):
        client.now()
    client.close()


def test_waiting_ends_when_the_service_stops() -> None:
    stop = threading.Event()
    client = OrthancClient(OrthancAccess("http://127.0.0.1:9"), patience_seconds=60.0, stop=stop)
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(ServiceStopping):
        client.now()
    client.close()


def test_delivery_describes_what_was_read_back(tmp_path: Path) -> None:
    with archive(POST__instances=[(200, ANSWER)], **held(DICOM)) as (client, _):
        stored = put(client, tmp_path)
        assert (stored.orthanc_instance_id, stored.orthanc_series_id) == ("i", "se")
        assert stored.sha256 == OUTPUT.sha256
        assert are_in_archive(client, [stored])
        assert not are_in_archive(client, [replace(stored, sha256="0")])


def test_other_bytes_in_the_archive_are_an_error(tmp_path: Path) -> None:
    with archive(POST__instances=[(200, ANSWER)], **held(b"other")) as (client, _):
        with pytest.raises(DeliveryError, match="SR: read back other bytes than were stored"):
            put(client, tmp_path)


def test_an_answer_that_is_no_success_is_an_error(tmp_path: Path) -> None:
    with archive(POST__instances=[(200, ANSWER | {"Status": "FilteredOut"})]) as (client, _):
        with pytest.raises(DeliveryError, match="Orthanc said FilteredOut"):
            put(client, tmp_path)


def test_change_log_is_read_from_the_cursor_to_its_end(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.cursors.set(CURSOR, 3)
    change = {"ChangeType": "StableStudy", "ResourceType": "Study"}
    answers = {
        "GET /changes?since=3&limit=1000": [(200, {"Changes": [change | {"ID": "a"}], "Last": 9, "Done": False})],
        "GET /changes?since=9&limit=1000": [(200, {"Changes": [change | {"ID": "b"}], "Last": 12, "Done": True})],
    }
    with archive() as (client, server):
        server.answers = answers
        assert list(ChangeLog(client, ledger.cursors, reader="here").read()) == [("a",), ("b",)]
    assert ledger.cursors.read(CURSOR) == 12
    ledger.close()


@pytest.mark.parametrize(("cursor", "expected"), [(None, 20), (30, 20), (15, 15)])
def test_cursor_starts_at_the_end_and_again_when_the_log_is_another(
    tmp_path: Path, cursor: int | None, expected: int
) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    if cursor is not None:
        ledger.cursors.set(CURSOR, cursor)
    with archive() as (client, server):
        server.answers = {"GET /changes?last=": [(200, {"Changes": [], "Last": 20, "Done": True})]}
        ChangeLog(client, ledger.cursors, reader="here").rewind_if_replaced()
    assert ledger.cursors.read(CURSOR) == expected
    ledger.close()


OTHERS = {"a page": b"<html>Log in</html>", "cut": DICOM[:5], "zeroed": bytes(len(DICOM)), "nothing": b""}
VERIFY, SIZE = "POST__instances_i_attachments_dicom_verify-md5", "GET__instances_i_attachments_dicom_size"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_an_instance_is_read_again_until_it_is_what_orthanc_noted(other: bytes) -> None:
    answers = held(DICOM) | {VERIFY: [(200, {})]}
    answers["GET__instances_i_file"] = [(200, other), (503, ""), (200, other), (200, DICOM)]
    with archive(**answers, **{SIZE: [(503, "")]}) as (client, _):
        assert client.instance_file("i") == DICOM


def test_where_orthanc_notes_no_md5_the_size_counts() -> None:
    answers: dict[str, list[tuple[int, Any]]] = {
        "GET__instances_i_file": [(200, b"<html>"), (200, DICOM)],
        "GET__instances_i_attachments_dicom_md5": [(404, b"")],
        SIZE: [(200, len(DICOM))],
        VERIFY: [(200, {})],
    }
    with archive(**answers) as (client, _):
        assert client.instance_file("i") == DICOM


@pytest.mark.parametrize(
    ("file", "verified"), [((200, DICOM[:5]), 400), ((500, "gone from the disk"), 500)], ids=["another", "gone"]
)
def test_a_file_that_orthanc_itself_lost_is_no_matter_of_patience(file: tuple[int, Any], verified: int) -> None:
    answers = held(DICOM) | {"GET__instances_i_file": [file], VERIFY: [(verified, "")], SIZE: [(200, len(DICOM))]}
    with archive(**answers) as (client, server):
        with pytest.raises(ArchiveFileDamagedError, match="restore the storage or send the study again"):
            client.instance_file("i")
        assert sum(name.endswith("/file") for name, _ in server.seen) == 1


def test_an_archive_that_fails_altogether_has_lost_no_file() -> None:
    answers = held(DICOM) | {VERIFY: [(503, "")], SIZE: [(503, "")]}
    answers["GET__instances_i_file"] = [(503, ""), (503, ""), (200, DICOM)]
    with archive(**answers) as (client, _):
        assert client.instance_file("i") == DICOM


def test_an_upload_that_orthanc_files_elsewhere_is_taken_back(tmp_path: Path) -> None:
    answers = held(DICOM) | {"DELETE__instances_i": [(200, {})]}
    with archive(**answers, POST__instances=[(200, ANSWER | {"ParentStudy": "other"})]) as (client, server):
        with pytest.raises(MisfiledError):
            put(client, tmp_path)
        assert server.seen[-1][0] == "DELETE /instances/i"


def test_another_object_that_lies_elsewhere_under_our_uid_stays(tmp_path: Path) -> None:
    answer = ANSWER | {"ParentStudy": "other", "Status": "AlreadyStored"}
    with archive(**held(b"another"), POST__instances=[(200, answer)]) as (client, server):
        with pytest.raises(MisfiledError):
            put(client, tmp_path)
        assert not any(name.startswith("DELETE") for name, _ in server.seen)
