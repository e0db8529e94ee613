"""Regions that people mark: work beside the study's own, under the name of who is logged in."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

import service_cases
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.site.roles import Roles

STUDY_ID = "-".join(["0123abcd"] * 5)
PATH = f"/curia/studies/{STUDY_ID}/regions"
POINT = {"series": "1.2", "point_lps_mm": [1, 2, 3], "label": 1}
KEEP = {"points": [POINT], "threshold": 0.75, "name": "odd spot"}
TOKEN = {"Authorization": "Bearer t0ken"}
ANNA = TOKEN | {"X-Curia-User": "anna"}


@pytest.fixture
def roles() -> Roles:
    return Roles(judge=("anna",))


@pytest.fixture
def study(ledger: Ledger) -> str:
    """Its work id."""
    job = replace(
        service_cases.JOB, orthanc_id=STUDY_ID, state=State.STORED, finished_at=1.0,
        objects=(service_cases.stored(),), result=Manifest(status="completed"),
    )  # fmt: skip
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), job)
    return job.work_id


def test_a_region_is_work_beside_the_studys_own(
    client: TestClient, ledger: Ledger, study: str, begun: list[str]
) -> None:
    answer = client.post(PATH, json=KEEP, headers=ANNA)
    assert (answer.status_code, answer.json()["person"], answer.json()["state"]) == (202, "anna", "queued")
    (work_id,) = begun
    job = ledger.jobs.read(work_id)
    assert job.marked is not None
    assert (job.marked.name, job.marked.points[0].point_lps_mm, job.read_by) == ("odd spot", (1.0, 2.0, 3.0), study)
    row = ledger.studies.row(STUDY_ID)
    assert row is not None
    assert row.job is not None
    assert (row.job.work_id, row.state) == (study, State.STORED)
    assert [one["name"] for one in client.get(PATH, headers=ANNA).json()] == ["odd spot"]
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=ANNA | {"Accept": "text/html"}).text
    assert "odd spot</button>" in page


@pytest.mark.usefixtures("study")
def test_the_same_region_twice_is_one_and_a_failed_one_is_tried_again(
    client: TestClient, ledger: Ledger, begun: list[str]
) -> None:
    for _ in range(2):
        client.post(PATH, json=KEEP, headers=ANNA)
    assert len(set(begun)) == 1
    job = ledger.jobs.take_lease(begun[0])
    ledger.jobs.end(job, State.FAILED, code="unreadable-input", message="no")
    assert client.get(PATH, headers=ANNA).json()[0]["reason"] == "no"
    assert client.post(PATH, json=KEEP, headers=ANNA).json()["state"] == "queued"
    client.post(PATH, json=KEEP | {"name": "another"}, headers=ANNA)
    assert len(set(begun)) == 2


@pytest.mark.usefixtures("study")
def test_a_region_is_no_earlier_report_and_is_not_replaced_by_a_later_reading(
    client: TestClient, ledger: Ledger, begun: list[str]
) -> None:
    client.post(PATH, json=KEEP, headers=ANNA)
    marked = ledger.jobs.take_lease(begun[0])
    ledger.jobs.end(marked, State.FAILED, code="unreadable-input", message="no")
    later = replace(service_cases.JOB, work_id="w2", orthanc_id=STUDY_ID, queued_at=1e12, pipeline_digest="q")
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), later)
    assert [one.sop_instance_uid for one in ledger.jobs.earlier_reports(later)] == ["9.9.9"]
    ledger.jobs.supersede_older(later)
    assert ledger.jobs.read(begun[0]).state is State.FAILED


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    "more",
    [
        {"name": ""}, {"name": " "}, {"name": "a\\b"}, {"name": "a\nb"}, {"name": "x" * 65}, {"threshold": 2},
        {"points": []}, {"points": [POINT | {"label": -1}]}, {"more": 1},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(client: TestClient, more: dict[str, Any], begun: list[str]) -> None:
    assert client.post(PATH, json=KEEP | more, headers=ANNA).status_code == 422
    assert begun == []


@pytest.mark.usefixtures("study")
def test_only_who_may_judge_may_keep_and_a_log_in_is_one_name(client: TestClient) -> None:
    assert client.post(PATH, json=KEEP, headers=TOKEN | {"X-Curia-User": "bert"}).status_code == 403
    assert client.post(PATH, json=KEEP, headers=ANNA | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get(PATH).status_code == 401
    assert client.post(PATH, json=KEEP, headers=TOKEN).json()["person"] == ""


def test_a_study_without_a_result_has_nothing_to_keep(client: TestClient) -> None:
    assert client.post(PATH, json=KEEP, headers=ANNA).status_code == 404
