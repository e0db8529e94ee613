"""Later versions of a report: asked for by who may judge, of the last one, with each person's last word."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

import service_cases
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.judgements import Judgement, Opinion
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.site.roles import Roles
from service_cases import stored

STUDY_ID = "-".join(["0123abcd"] * 5)
PATH = f"/curia/studies/{STUDY_ID}/report"
TOKEN = {"Authorization": "Bearer t0ken"}
ANNA, BERTA = (TOKEN | {"X-Curia-User": name} for name in ("anna", "berta"))
FINDING = {
    "name": "mass", "code": {"value": "4147007", "scheme": "SCT", "meaning": "Mass"}, "site": None, "head": "h",
    "probability": 0.9, "threshold": 0.5, "present": True, "localisation": None,
}  # fmt: skip
SAID = Judgement("mass", "h", None, Opinion.ACCEPTED, "", "anna", 0.0)


@pytest.fixture
def roles() -> Roles:
    return Roles(judge=("anna",))


@pytest.fixture
def study(ledger: Ledger) -> str:
    """Its work id."""
    result = Manifest.model_validate({"status": "completed", "findings": (FINDING,)})
    job = replace(
        service_cases.JOB, orthanc_id=STUDY_ID, state=State.STORED, finished_at=1.0,
        objects=(stored("SEG", orthanc_id="seg"), stored(orthanc_id="first")), result=result,
    )  # fmt: skip
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), job)
    return job.work_id


def finish(ledger: Ledger, work_id: str, *, report: str) -> None:
    job = ledger.jobs.read(work_id)
    for state in (State.RUNNING, State.WRITING):
        ledger.jobs.move(job, state)
    ledger.jobs.keep_objects(job, [stored(instance=report, orthanc_id=report)])
    ledger.jobs.finish(job, ())


def test_a_version_holds_the_last_word_of_each_person_on_the_report_before_it(
    client: TestClient, ledger: Ledger, study: str, begun: list[str]
) -> None:
    assert client.post(PATH, headers=ANNA).status_code == 409
    for said in (SAID, replace(SAID, verdict=Opinion.REJECTED, comment="a vessel"), replace(SAID, person="b^erta")):
        ledger.judgements.add(STUDY_ID, study, said)
    ledger.judgements.add(STUDY_ID, "an older result", replace(SAID, person="clara"))
    answer = client.post(PATH, headers=ANNA)
    assert (answer.status_code, answer.json()["state"], answer.json()["judgements"]) == (202, "queued", 2)
    job = ledger.jobs.read(begun[0])
    assert job.revision is not None
    assert (job.revision.report, job.read_by, job.is_beside) == ("first", study, True)
    assert [(one.verdict, one.comment, one.person, one.code.value) for one in job.revision.judgements] == [
        ("rejected", "a vessel", "anna", "4147007"), ("accepted", "", "b erta", "4147007"),
    ]  # fmt: skip
    row = ledger.studies.row(STUDY_ID)
    assert row is not None
    assert row.job is not None
    assert row.job.work_id == study


def test_the_next_version_follows_the_last_one_and_nothing_new_makes_none(
    client: TestClient, ledger: Ledger, study: str, begun: list[str]
) -> None:
    ledger.judgements.add(STUDY_ID, study, SAID)
    client.post(PATH, headers=ANNA)
    assert client.post(PATH, headers=ANNA).status_code == 409
    finish(ledger, begun[0], report="second")
    assert client.post(PATH, headers=ANNA).json()["report"] == "second"
    assert len(begun) == 1
    ledger.judgements.add(STUDY_ID, study, replace(SAID, person="berta"))
    client.post(PATH, headers=ANNA)
    later = ledger.jobs.read(begun[1])
    assert later.revision is not None
    assert later.revision.report == "second"
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=BERTA | {"Accept": "text/html"}).text
    assert "SR with 1 judgement: stored" in page
    assert "SR with 2 judgements: queued" in page
    assert [one["state"] for one in client.get(PATH, headers=BERTA).json()] == ["stored", "queued"]


@pytest.mark.usefixtures("study")
def test_it_is_asked_for_by_who_may_judge(client: TestClient) -> None:
    assert client.post(PATH, headers=BERTA).status_code == 403
    assert client.post(PATH).status_code == 401
    assert client.post(PATH, headers=ANNA | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
