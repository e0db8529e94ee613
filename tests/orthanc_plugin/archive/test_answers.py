"""What comes back from Orthanc's address may be anything; what a study's headers say, too."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from canned_answers import answering
from orthanc_plugin.archive.answers import Series, Study
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.domain.errors import ArchiveDeniedError, ArchiveNotUnderstoodError
from orthanc_plugin.site.orthanc_access import OrthancAccess

STUDY = {"ID": "a-1", "IsStable": True, "LastUpdate": "20260131T120000"}


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
NOT_ORTHANC = {
    "a page": http("200 OK", PAGE, "Content-Type: text/html"),
    "nothing": http("200 OK", b""),
    "no content": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "a number": http("200 OK", b"7"),
    "other names": http("200 OK", b'{"error": "maintenance"}'),
    "a list of other things": http("200 OK", b'[{"error": "maintenance"}]'),
    "cut JSON": http("200 OK", b'{"ID": "a-1", "IsSta'),
    "Latin-1": http("200 OK", b'{"ID": "M\xfcller", "Type": "Study"}'),
    "broken gzip": http("200 OK", gzip.compress(b"{}", mtime=0)[:12] + b"\0\0\0", "Content-Encoding: gzip"),
    "another compression": http("200 OK", b"\xff\xfe\0\0", "Content-Encoding: gzip"),
    "a redirection": http("302 Found", b"", "Location: http://127.0.0.1:9/login"),
    "a page that says not found": http("404 Not Found", PAGE, "Content-Type: text/html"),
    "a page that says bad request": http("400 Bad Request", PAGE, "Content-Type: text/html"),
}
CALLS: dict[str, Callable[[OrthancClient], object]] = {
    "/changes": lambda client: client.changes(0),
    "/changes?last": lambda client: client.last_change(),
    "/studies": lambda client: list(client.studies()),
    "/studies/{id}": lambda client: client.study("a-1"),
    "/studies/{id}/series": lambda client: client.series("a-1"),
    "/tools/lookup": lambda client: client.studies_named("1.2.3"),
    "/tools/now": lambda client: client.now(),
    "/instances/{id}/metadata/RemoteAET": lambda client: client.calling_aet("a-1"),
    "/instances": lambda client: client.store_instance(b"DICM"),
}
UNDERSTOOD = {("/instances/{id}/metadata/RemoteAET", name) for name in ("nothing", "a number", "broken gzip")}
"""A title is plain text and may be empty, as what is left of a broken compression is."""


@contextmanager
def client_of(*answers: bytes, patience_seconds: float = 0.0) -> Iterator[tuple[OrthancClient, RecentFaults]]:
    faults = RecentFaults()
    with answering(*answers) as server:
        access = OrthancAccess(f"http://127.0.0.1:{server.port}")
        stop = threading.Event()
        client = OrthancClient(access, patience_seconds=patience_seconds, stop=stop, faults=faults)
        yield client, faults
        client.close()


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_not_orthancs_is_not_understood_and_an_alarm(call: str) -> None:
    answers = [answer for name, answer in NOT_ORTHANC.items() if (call, name) not in UNDERSTOOD]
    with client_of(*answers) as (client, faults):
        assert not faults.has("archive-not-understood")
        for _ in answers:
            with pytest.raises(ArchiveNotUnderstoodError) as caught:
                CALLS[call](client)
            assert "ller" not in str(caught.value)
        assert faults.has("archive-not-understood")


@pytest.mark.parametrize("name", ["a page", "nothing", "no content", "a redirection", "another compression"])
def test_a_file_that_is_a_page_or_nothing_is_not_understood(name: str) -> None:
    with client_of(NOT_ORTHANC[name]) as (client, _), pytest.raises(ArchiveNotUnderstoodError):
        client.instance_file("a-1")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"])
def test_a_password_that_is_not_taken_is_an_alarm_and_no_verdict(status: str) -> None:
    with client_of(http(status, b"")) as (client, faults):
        with pytest.raises(ArchiveDeniedError, match="are they still valid"):
            client.study("a-1")
        assert faults.has("archive-denied")


@pytest.mark.parametrize(
    "fault",
    [NOT_ORTHANC["a page"], NOT_ORTHANC["broken gzip"], http("401 Unauthorized", b"")],
    ids=["page", "gzip", "password"],
)
def test_work_goes_on_when_it_is_over(fault: bytes) -> None:
    found = http("200 OK", b'[{"ID": "a-1", "Type": "Study", "Path": "/studies/a-1"}]')
    with client_of(fault, fault, found, patience_seconds=10.0) as (client, _):
        assert client.studies_named("1.2.3") == ("a-1",)


def study(uid: Any, **tags: Any) -> Study:
    return Study.model_validate(STUDY | {"MainDicomTags": {"StudyInstanceUID": uid} | tags})


@pytest.mark.parametrize("uid", ["1.2." * 25, "1.2.M\xfcller", "1.2\0", "", "1 2"])
def test_a_study_whose_uid_cannot_be_put_down_says_so(uid: str) -> None:
    facts = study(uid).facts()
    assert facts.defect is not None
    assert len(facts.study_instance_uid) <= 64
    assert facts.study_instance_uid.isprintable()
    assert study("1.2.3").facts().defect is None


@pytest.mark.parametrize(("told", "expected"), [("12", 12), ("9" * 250, None), ("-1", None), ("٣", None), (" 7", None)])
def test_a_count_that_no_modality_means_is_none(told: str, expected: int | None) -> None:
    tags = {"SeriesInstanceUID": "1.2", "Modality": "CT", "ImagesInAcquisition": told}
    assert Series.model_validate({"Instances": ["a-1"], "MainDicomTags": tags}).facts().expected == expected


def test_header_values_are_bounded_and_cleaned() -> None:
    tags = {"SeriesInstanceUID": "1." * 60, "Modality": "C\0T" * 20, "SeriesDescription": "\ud800" + "x" * 5000}
    facts = Series.model_validate({"Instances": [], "MainDicomTags": tags}).facts()
    assert len(facts.series_instance_uid) == 64
    assert facts.modality.startswith("C\ufffdT")
    assert len(facts.modality) == 16
    assert len(facts.tags["SeriesDescription"]) == 1024
    assert all(value.isprintable() for value in facts.tags.values())
