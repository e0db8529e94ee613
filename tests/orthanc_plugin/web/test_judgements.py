"""What people may do, what they say of findings, and what the audit trail keeps of it."""

import json
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
FINDING = {
    "name": "mass", "code": {"value": "1", "scheme": "SCT", "meaning": "x"}, "site": None, "head": "h",
    "probability": 0.75, "threshold": 0.5, "present": True, "localisation": None,
}  # fmt: skip
TOKEN = {"Authorization": "Bearer t0ken"}
PATH = f"/curia/studies/{STUDY_ID}/judgements"
SAID = {"finding": "mass", "head": "h", "verdict": "rejected", "comment": "a vessel"}


@pytest.fixture
def roles() -> Roles:
    return Roles(judge=("anna",), run=("bert",), admin=("carl",))


@pytest.fixture
def study(ledger: Ledger) -> None:
    job = replace(
        service_cases.JOB, orthanc_id=STUDY_ID, state=State.STORED, finished_at=1.0,
        result=Manifest(status="completed", findings=(FINDING,)),
    )  # fmt: skip
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), job)


def as_user(name: str, **more: str) -> dict[str, str]:
    """The headers that the plugin sends for who is logged in."""
    return TOKEN | {"X-Curia-User": name} | more


@pytest.mark.usefixtures("study")
def test_a_judgement_is_kept_with_the_person_and_shown_on_the_page(client: TestClient) -> None:
    answer = client.post(PATH, json=SAID, headers=as_user("anna"))
    assert (answer.status_code, answer.json()["person"], answer.json()["verdict"]) == (201, "anna", "rejected")
    client.post(PATH, json=SAID | {"verdict": "accepted", "comment": "<b>after all</b>"}, headers=as_user("anna"))
    kept = client.get(PATH, headers=as_user("bert")).json()
    assert [(one["verdict"], one["comment"]) for one in kept] == [
        ("rejected", "a vessel"),
        ("accepted", "<b>after all</b>"),
    ]
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=as_user("bert", Accept="text/html")).text
    assert "rejected by anna: a vessel" in page
    assert "&lt;b&gt;after all" in page


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (SAID | {"finding": "another"}, 422),
        (SAID | {"verdict": "perhaps"}, 422),
        (SAID | {"comment": "x" * 2001}, 422),
        (SAID | {"more": 1}, 422),
    ],
)
def test_what_cannot_be_said_is_refused(client: TestClient, said: dict[str, Any], status: int) -> None:
    assert client.post(PATH, json=said, headers=as_user("anna")).status_code == status
    assert client.get(PATH, headers=TOKEN).json() == []


def test_a_study_without_a_result_cannot_be_judged(client: TestClient) -> None:
    assert client.post(PATH, json=SAID, headers=as_user("anna")).status_code == 404


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/curia/worklist", {"anna", "bert", "carl", "dora", ""}),
        ("GET", f"/curia/studies/{STUDY_ID}", {"anna", "bert", "carl", "dora", ""}),
        ("GET", f"/curia/studies/{STUDY_ID}/fhir", {"anna", "bert", "carl", "dora", ""}),
        ("GET", PATH, {"anna", "bert", "carl", "dora", ""}),
        ("POST", PATH, {"anna", "carl"}),
        ("POST", f"/curia/studies/{STUDY_ID}/run", {"bert", "carl"}),
        ("GET", "/curia/audit", {"carl"}),
    ],
)
def test_every_route_asks_for_its_role(client: TestClient, method: str, path: str, allowed: set[str]) -> None:
    for person in ("anna", "bert", "carl", "dora", ""):
        answer = client.request(method, path, json=SAID if method == "POST" else None, headers=as_user(person))
        assert (answer.status_code == 403) == (person not in allowed), (person, answer.text)
    assert client.request(method, path, headers={"X-Curia-User": "carl"}).status_code == 401


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_use_the_log_in(client: TestClient, site: str) -> None:
    for path in (PATH, f"/curia/studies/{STUDY_ID}/run"):
        headers = as_user("carl", **{"Sec-Fetch-Site": site})
        assert client.post(path, json=SAID, headers=headers).status_code == 403
    assert client.post(PATH, json=SAID, headers=as_user("carl", **{"Sec-Fetch-Site": "same-origin"})).status_code == 201


@pytest.mark.usefixtures("study")
def test_the_trail_tells_who_saw_judged_and_was_refused(client: TestClient) -> None:
    client.get(f"/curia/studies/{STUDY_ID}", headers=as_user("d%C3%B6ra"))
    client.post(PATH, json=SAID, headers=as_user("anna"))
    client.post(PATH, json=SAID, headers=as_user("bert"))
    client.get("/curia/worklist", headers=as_user("anna"))
    trail = [json.loads(line) for line in client.get("/curia/audit", headers=as_user("carl")).text.splitlines()]
    assert [(one["person"], one["action"], one["orthanc_id"], one["allowed"]) for one in trail] == [
        ("d\xf6ra", "see", STUDY_ID, True),
        ("anna", "judge", STUDY_ID, True),
        ("bert", "judge", STUDY_ID, False),
        ("carl", "audit", None, True),
    ]
