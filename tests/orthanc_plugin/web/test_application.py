"""The routes on a real ledger; no Orthanc and no pipeline are up."""

import re
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

import service_cases
from orthanc_plugin.domain.facts import SeriesFacts
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.web.application import FIRST_ROWS
from orthanc_plugin.work.hosts import Watchdog
from page_cases import fill
from service_cases import stored

STUDY_ID = "-".join(["0123abcd"] * 5)
STUDY = replace(service_cases.STUDY, orthanc_id=STUDY_ID)
FINDING = {
    "name": "<script>x</script>", "code": {"value": "1", "scheme": "SCT", "meaning": "x"}, "site": None, "head": "h",
    "probability": 0.25, "threshold": 0.5, "present": None, "reason": "expected CT, got MR", "localisation": None,
}  # fmt: skip
JOB = replace(
    service_cases.JOB, orthanc_id=STUDY_ID, stable_at=100.0, queued_at=101.0, started_at=103.0,
    timings={"fetch": 0.5}, objects=(stored(),), result=Manifest(status="completed", findings=(FINDING,)),
)  # fmt: skip
TOKEN = {"Authorization": "Bearer t0ken"}
PAGE = TOKEN | {"Accept": "text/html,*/*"}


def test_every_curia_route_wants_the_token(client: TestClient) -> None:
    requests = [
        ("GET", "worklist"),
        ("GET", "health"),
        ("GET", f"studies/{STUDY_ID}"),
        ("POST", f"studies/{STUDY_ID}/run"),
    ]
    for method, route in requests:
        assert client.request(method, f"/curia/{route}").status_code == 401
        assert client.request(method, f"/curia/{route}", headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.post("/nudge", json={}).status_code == 401


def test_health_is_degraded_while_nothing_is_up(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["pipeline"]["reason"] == "the pipeline is being loaded"
    assert client.get("/livez").status_code == 200


def test_alarms_of_studies_do_not_make_the_service_unready(ready: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    ledger.jobs.end(ledger.jobs.read("w1"), State.FAILED, code="study-uid-collision", message="two patients")
    answer = ready.get("/readyz")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["ready"]) == ("degraded", True)
    assert answer.json()["alarms"] == ["study-uid-collision"]


def test_a_database_out_of_reach_makes_the_service_unready_and_leaves_it_its_voice(
    ready: TestClient, ledger: Ledger
) -> None:
    with ledger.database.begin() as connection:
        connection.execute(sa.text("DROP TABLE curia_studies"))
    answer = ready.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["alarms"] == ["database-out-of-reach"]
    lines = ready.get("/metrics").text.splitlines()
    assert {'curia_alarm{alarm="database-out-of-reach"} 1.0', 'curia_worker_ready{worker="0"} 1.0'} <= set(lines)


def test_a_database_out_of_reach_is_said_to_people_too(ready: TestClient, ledger: Ledger) -> None:
    with ledger.database.begin() as connection:
        connection.execute(sa.text("DROP TABLE curia_studies"))
    answer = ready.get("/curia/worklist", headers=TOKEN)
    assert answer.status_code == 503
    assert "out of reach" in answer.json()["detail"]


def test_a_heart_that_stands_still_makes_the_service_unready(
    ready: TestClient, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: beaten + 61.0)
    assert not watchdog.is_beating
    assert "database-out-of-reach" in ready.get("/readyz").json()["alarms"]


def test_work_list_entry_holds_what_the_ledger_knows(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    study = client.get("/curia/worklist", headers=TOKEN).json()["studies"][0]
    assert (study["state"], study["orthanc_id"], study["findings"]) == ("queued", STUDY_ID, [FINDING])
    assert study["seconds"] == {"fetch": 0.5, "queued": 2.0}
    assert study["stable"] == "1970-01-01T00:01:40+00:00"
    assert study["objects"][0]["explorer"] == "app/explorer.html#series?uuid=s"


def test_a_study_is_as_urgent_as_its_strongest_finding_is_above_its_threshold(
    client: TestClient, ledger: Ledger
) -> None:
    def found(probability: float, *, present: bool = True, code: str = "4147007") -> dict[str, object]:
        named = {"value": code, "scheme": "SCT", "meaning": "Mass"}
        return FINDING | {"probability": probability, "present": present, "code": named}

    def key_of(*findings: dict[str, object]) -> str:
        ledger.jobs.add(
            STUDY, replace(JOB, result=Manifest(status="completed", findings=findings), work_id=str(findings))
        )
        page = client.get("/curia/worklist", headers=PAGE).text
        return page.split('<td data-key="')[1].split('"')[0]

    assert key_of(found(0.6), found(0.9), found(1.0, present=False), found(1.0, code="123014")) == "1.8"
    assert key_of(found(0.5)) == "1.0"
    assert key_of(found(0.9, present=False)) == "0.0"


def test_a_study_without_outcome_is_an_alarm_in_the_list_and_in_the_metrics(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, replace(JOB, stable_at=time.time() - 3540.0, warnings=(Notice("c", "m"),)))
    assert client.get(f"/curia/studies/{STUDY_ID}", headers=TOKEN).json()["warnings"] == [{"code": "c", "message": "m"}]
    assert "curia_overdue_studies 0.0" in client.get("/metrics").text
    ledger.jobs.add(STUDY, replace(JOB, work_id="w2", stable_at=time.time() - 3660.0))
    warning = {"code": "result-overdue", "message": "no result although the study has been at rest for 61 minutes"}
    assert client.get(f"/curia/studies/{STUDY_ID}", headers=TOKEN).json()["warnings"] == [warning]
    assert warning["message"] in client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE).text
    assert "<code>result-overdue</code>" in client.get("/curia/worklist", headers=PAGE).text
    lines = client.get("/metrics").text.splitlines()
    assert {"curia_overdue_studies 1.0", 'curia_alarm{alarm="result-overdue"} 1.0'} <= set(lines)
    assert "result-overdue" in client.get("/readyz").json()["alarms"]


def test_one_study_uid_of_two_patients_is_an_alarm_until_the_study_has_other_work(
    client: TestClient, ledger: Ledger
) -> None:
    ledger.jobs.add(STUDY, JOB)
    ledger.jobs.end(ledger.jobs.read("w1"), State.FAILED, code="study-uid-collision", message="two patients")
    assert "study-uid-collision" in client.get("/readyz").json()["alarms"]
    ledger.jobs.add(STUDY, replace(JOB, work_id="w2"))
    assert "study-uid-collision" not in client.get("/readyz").json()["alarms"]


def test_seconds_from_stable_to_stored(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, replace(JOB, state=State.STORED, finished_at=107.25))
    study = client.get(f"/curia/studies/{STUDY_ID}", headers=TOKEN).json()
    assert study["seconds"]["stable_to_end"] == 7.25
    assert study["stored"] == "1970-01-01T00:01:47+00:00"


STUDY_SERIES = (
    SeriesFacts("1.1", "CT", ("a", "b")),
    SeriesFacts("1.2", "SR", ("c",)),
    SeriesFacts("1.3", "SEG", ("d",)),
    SeriesFacts("1.4", "<b>", ("e", "f")),
)
JUDGED = {
    "series_instance_uid": "1.1", "modality": "CT", "num_instances": 2, "decision": "selected", "role": "CT volume",
    "score": 8.0, "reasons": ["axial (+2)"],
}  # fmt: skip


def test_every_series_of_a_study_is_shown_with_its_reason(client: TestClient, ledger: Ledger) -> None:
    ledger.studies.note_series(STUDY_ID, STUDY_SERIES)
    ledger.jobs.add(
        STUDY, replace(JOB, objects=(stored(series="1.3"),), result=Manifest(status="completed", series=(JUDGED,)))
    )
    series = client.get(f"/curia/studies/{STUDY_ID}", headers=TOKEN).json()["series"]
    assert series[0] == JUDGED
    assert [(one["decision"], one["reasons"]) for one in series[1:]] == [
        ("not read", ["a report, not an image series"]),
        ("not read", ["written by curia-pacs"]),
        ("not read", ["only CT and MR images are read"]),
    ]
    assert all(one.keys() == JUDGED.keys() for one in series)
    page = " ".join(client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE).text.split())
    assert "<b>selected</b> CT, 2 files, CT volume <small>axial (+2)</small>" in page
    assert "<b>not read</b> SR, 1 file <small>a report, not an image series</small>" in page
    assert "<b>not read</b> &lt;b&gt;, 2 files" in page


def test_series_show_before_a_study_was_judged_and_without_any_work(client: TestClient, ledger: Ledger) -> None:
    ledger.studies.note_series(STUDY_ID, STUDY_SERIES)
    ledger.studies.note(STUDY, State.WAITING, reason="still arriving")
    series = client.get("/curia/worklist", headers=TOKEN).json()["studies"][0]["series"]
    assert [one["decision"] for one in series] == ["not judged", "not read", "not read", "not read"]
    assert series[0]["reasons"] == []


def test_the_page_comes_with_the_newest_studies_and_says_how_many_to_ask_for(
    client: TestClient, ledger: Ledger
) -> None:
    fill(ledger, FIRST_ROWS + 1)
    first = client.get("/curia/worklist", headers=PAGE).text
    (whole,) = re.findall(r'data-whole="([0-9]*)"', first)
    asked = client.get("/curia/worklist", params={"limit": whole}, headers=PAGE).text
    rows, all_rows = (re.findall(r'<tr data-study="([0-9a-f]{8})-', page) for page in (first, asked))
    assert rows == [f"{number:08x}" for number in range(FIRST_ROWS)]
    assert (len(all_rows), re.findall(r'data-whole="([0-9]*)"', asked)) == (FIRST_ROWS + 1, [""])


def test_the_page_escapes_what_it_shows(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE)
    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;script&gt;x" in page.text
    assert "not judged</span> <small>expected CT, got MR</small>" in page.text
    assert "<script>x" not in page.text


def test_a_study_with_earlier_ones_has_its_follow_up_as_a_table(client: TestClient, ledger: Ledger) -> None:
    code = {"value": "4147007", "scheme": "SCT", "meaning": "Mass"}
    course = {
        "name": "mass", "code": code, "site": None, "is_lesion": True, "tracking_uid": "2.25.1", "segment_number": 1,
        "sizes": [
            {"volume_ml": 1.0, "long_axis_mm": 12.0, "short_axis_mm": 9.5},
            {"volume_ml": 3.0, "is_cut_off": True}, {"volume_ml": 2.0},
        ],
        "change_ml": 1.0, "change_percent": 100.0, "doubling_time_days": 200.0,
    }  # fmt: skip
    days = ((200, "good"), (80, "doubtful"), (0, None))
    dates = [
        {"study_instance_uid": "1.2", "series_instance_uid": "1.3", "days_before": before, "verdict": verdict}
        for before, verdict in days
    ]
    total = {
        "tracking_uids": ["2.25.1"], "sums_mm": [12.0, 11.0, 15.0], "change_percent": 25.0,
        "change_from_smallest_percent": 36.4,
    }  # fmt: skip
    follow_up = {"series_instance_uid": "1.4", "dates": dates, "courses": [course], "sum_of_diameters": total}
    transform = {
        "fixed_series_instance_uid": "1.4", "moving_series_instance_uid": "1.3", "transform": "rigid",
        "verdict": "good", "quality": {}, "outputs": ["9.9.8"],
    }  # fmt: skip
    result = Manifest(status="completed", follow_up=(follow_up,), registration=(transform,))
    objects = (stored("SEG", instance="9.9.7", orthanc_id="own"), stored("SEG", instance="9.9.8", orthanc_id="carried"))
    ledger.jobs.add(STUDY, replace(JOB, result=result, objects=objects))
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE).text
    text = " ".join(re.sub("<[^>]+>", " ", page).split())
    assert "Followed 200 days before 80 days before alignment doubtful now Change of volume Doubling time" in text
    assert "mass 1.00 ml 12.0 × 9.5 mm 3.00 ml of it, cut off by the border 2.00 ml +1.00 ml +100.0 % 200 days" in text
    assert "Sum of diameters 1 lesion 12.0 mm 11.0 mm 15.0 mm +25.0 % since the first date" in text
    assert "SEG of an earlier study, carried over" in text
    assert 'data-segmentations="[&#34;own&#34;]"' in page


def test_links_of_both_pages_lead_to_orthancs_root(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    assert f'href="../curia/studies/{STUDY_ID}' in client.get("/curia/worklist", headers=PAGE).text
    assert 'href="../../app/explorer.html' in client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE).text


def test_a_page_loads_nothing_from_elsewhere(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    for path in ("/curia/worklist", f"/curia/studies/{STUDY_ID}"):
        page = client.get(path, headers=PAGE)
        assert not re.search("https?://", page.text)
        assert not re.search(r"<style|<script(?![^>]*src=)| style=| on\w+=", page.text), "the policy forbids it"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        for address in re.findall(r'(?:src|href)="([^"]*curia/static/[^"]+)"', page.text):
            assert client.get("/" + address.replace("../", ""), headers=TOKEN).status_code == 200


def test_a_result_is_there_as_fhir_and_a_study_without_one_is_404(client: TestClient, ledger: Ledger) -> None:
    path = f"/curia/studies/{STUDY_ID}/fhir"
    assert client.get(path, headers=TOKEN).status_code == 404
    ledger.jobs.add(STUDY, JOB)
    answer = client.get(path, headers=TOKEN)
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.json()["resourceType"] == "Bundle"
    assert client.get(path).status_code == 401


def test_static_files_are_those_of_the_package_and_no_others(client: TestClient) -> None:
    answer = client.get("/curia/static/curia.css", headers=TOKEN)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    for path in ("../application.py", "..%2fapplication.py", "study_page", "none.js", "/etc/passwd"):
        assert client.get(f"/curia/static/{path}", headers=TOKEN).status_code == 404
    assert client.get("/curia/static/curia.css").status_code == 401


def test_the_page_of_a_study_that_is_not_known_says_so(client: TestClient) -> None:
    page = client.get(f"/curia/studies/{STUDY_ID}", headers=PAGE)
    assert page.status_code == 404
    assert "was deleted, or it has not been seen yet" in page.text


def test_an_unknown_study_is_404_and_a_forced_run_of_it_is_accepted(client: TestClient) -> None:
    assert client.get(f"/curia/studies/{STUDY_ID}", headers=TOKEN).status_code == 404
    answer = client.post(f"/curia/studies/{STUDY_ID}/run", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (202, {"accepted": True, "state": "waiting"})


@pytest.mark.parametrize("study", ["..", "abc", STUDY_ID + "0", STUDY_ID.upper()])
def test_only_orthanc_ids_are_passed_on(client: TestClient, study: str) -> None:
    assert client.post("/nudge", json={"study": study}, headers=TOKEN).status_code == 422
    assert client.post(f"/curia/studies/{study}/run", headers=TOKEN).status_code in (404, 405, 422)


def test_metrics_count_the_work_by_state(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    lines = client.get("/metrics").text.splitlines()
    assert 'curia_work{state="queued"} 1.0' in lines
    assert 'curia_work{state="stored"} 0.0' in lines
    assert 'curia_worker_ready{worker="0"} 0.0' in lines
    assert 'curia_alarm{alarm="pipeline-down"} 1.0' in lines
    assert 'curia_alarm{alarm="disk-full"} 0.0' in lines


def test_metrics_count_failures_by_code(client: TestClient, ledger: Ledger) -> None:
    ledger.jobs.add(STUDY, JOB)
    ledger.jobs.end(ledger.jobs.read("w1"), State.FAILED, code="worker-crash", message="it fell")
    lines = client.get("/metrics").text.splitlines()
    assert 'curia_failures{code="worker-crash"} 1.0' in lines
