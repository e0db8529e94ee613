"""Questions of similarity: who may ask, what is refused, and what is said while there is no answer yet."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

import service_cases
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.roles import Roles
from orthanc_plugin.work.encoding import Encoding

STUDY_ID = "-".join(["0123abcd"] * 5)
PATH = f"/curia/studies/{STUDY_ID}"
POINT = {"series": "1.2", "point_lps_mm": [0, 0, 0], "label": 1}
TOKEN = {"Authorization": "Bearer t0ken"}


@pytest.fixture
def roles() -> Roles:
    return Roles(judge=("anna",))


@pytest.fixture
def study(ledger: Ledger, pool: WorkerPool) -> str:
    """Its work id."""
    job = replace(
        service_cases.JOB, orthanc_id=STUDY_ID, state=State.STORED, finished_at=1.0, result=Manifest(status="completed")
    )
    ledger.jobs.add(replace(service_cases.STUDY, orthanc_id=STUDY_ID), job)
    pool.workers[0].start()
    return job.work_id


@pytest.fixture
def kept(study: str, encoding: Encoding) -> None:
    encoding.kept.of(study).mkdir()
    (encoding.kept.of(study) / "kept.json").touch()


def test_where_findings_come_from_is_told_to_viewers_once_it_is_there(
    client: TestClient, study: str, encoding: Encoding
) -> None:
    berta = TOKEN | {"X-Curia-User": "berta"}
    waiting = client.get(f"{PATH}/evidence", headers=berta)
    assert (waiting.status_code, waiting.json()["maps"]) == (202, [])
    folder = encoding.kept.of(study)
    folder.mkdir()
    (folder / "kept.json").touch()
    assert client.get(f"{PATH}/evidence", headers=berta).json() == {"maps": [], "waiting": None}
    kept = {
        "finding": "mass", "head": "h", "series": "1.2", "kind": "probability", "affine": [[1, 0, 0, 0]] * 4,
        "shape": [1, 1, 2], "values": "/wA=",
    }  # fmt: skip
    (folder / "evidence.json").write_text(json.dumps([kept]))
    assert client.get(f"{PATH}/evidence", headers=berta).json()["maps"] == [kept]


@pytest.mark.usefixtures("kept")
def test_a_map_and_a_region_come_from_the_worker(client: TestClient) -> None:
    maps = client.post(f"{PATH}/similarity", json=[POINT], headers=TOKEN)
    assert maps.status_code == 200
    assert [(one["series"], one["values"], one["is_prior"]) for one in maps.json()["maps"]] == [("1.2", "/wA=", False)]
    cut = client.post(f"{PATH}/cut", json={"points": [POINT], "threshold": 0.5}, headers=TOKEN).json()
    assert (cut["region"]["volume_ml"], cut["region"]["bits"]) == (2.5, "AQ==")
    assert (
        client.post(f"{PATH}/cut", json={"points": [POINT], "threshold": 0.95}, headers=TOKEN).json()["region"] is None
    )


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "points",
    [[], [POINT] * 101, [POINT | {"label": 0}], [POINT | {"point_lps_mm": [0, 0]}], [POINT | {"more": 1}], {}, "x"],
)
def test_what_is_no_question_is_refused(client: TestClient, points: Any) -> None:
    assert client.post(f"{PATH}/similarity", json=points, headers=TOKEN).status_code == 422


@pytest.mark.usefixtures("kept")
def test_what_the_worker_cannot_answer_is_said_in_its_words(client: TestClient) -> None:
    answer = client.post(f"{PATH}/similarity", json=[POINT | {"series": "9"}], headers=TOKEN)
    assert (answer.status_code, answer.json()["detail"]) == (422, "series 3 was not encoded")


@pytest.mark.usefixtures("study")
def test_features_that_are_gone_are_made_again_and_that_is_said(client: TestClient, encoding: Encoding) -> None:
    first = client.post(f"{PATH}/similarity", json=[POINT], headers=TOKEN)
    assert (first.status_code, first.json()["maps"]) == (202, [])
    assert "no longer kept" in first.json()["waiting"]
    encoding.encode_next(0.0)
    failed = client.post(f"{PATH}/cut", json={"points": [POINT], "threshold": 0.5}, headers=TOKEN)
    assert failed.status_code == 409
    assert "could not be encoded again" in failed.json()["detail"]
    # Told once: who asks after that has it tried again.
    assert client.post(f"{PATH}/similarity", json=[POINT], headers=TOKEN).status_code == 202


@pytest.mark.usefixtures("kept")
def test_every_worker_at_a_study_is_no_failure_but_a_moment(client: TestClient, pool: WorkerPool) -> None:
    pool.close()
    answer = client.post(f"{PATH}/similarity", json=[POINT], headers=TOKEN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("path", "asked"), [("/similarity", [POINT]), ("/cut", {"points": [POINT], "threshold": 0.5})])
def test_only_who_may_judge_may_ask_and_no_other_sites_page(client: TestClient, path: str, asked: Any) -> None:
    for person, status in (("anna", 200), ("bert", 403)):
        answer = client.post(PATH + path, json=asked, headers=TOKEN | {"X-Curia-User": person})
        assert answer.status_code == status
    elsewhere = TOKEN | {"X-Curia-User": "anna", "Sec-Fetch-Site": "cross-site"}
    assert client.post(PATH + path, json=asked, headers=elsewhere).status_code == 403
    assert client.post(PATH + path, json=asked).status_code == 401


def test_a_study_without_a_result_has_nothing_to_ask_of(client: TestClient) -> None:
    assert client.post(f"{PATH}/similarity", json=[POINT], headers=TOKEN).status_code == 404
