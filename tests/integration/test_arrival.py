"""A study arrives, and its results come back once: on a real Orthanc with the real pipeline."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from integration.running_site import CANARIES, Site, changed
from orthanc_plugin.archive.labels import METADATA
from orthanc_plugin.demo.local_orthanc import USER

pytestmark = pytest.mark.integration

MakeStudy = Callable[[str], tuple[str, list[Path]]]


@pytest.fixture(scope="module")
def stored(site: Site, make_study: MakeStudy) -> dict:
    """The work list's entry of a study that went all the way."""
    uid, paths = make_study("arrival")
    site.send(paths)
    return site.wait_for_state(uid, "stored", "failed", "not-applicable")


def test_one_seg_and_one_sr_come_back(site: Site, stored: dict) -> None:
    assert stored["state"] == "stored", stored["reason"]
    assert site.modalities(stored["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_objects_in_orthanc_are_the_bytes_of_the_result(site: Site, stored: dict) -> None:
    manifest_path = site.orthanc.data_folder / "results" / stored["work_id"] / "result.json"
    manifest = json.loads(manifest_path.read_text())
    in_orthanc = {
        hashlib.sha256(site.orthanc.http.get(f"/instances/{entry['orthanc_instance_id']}/file").content).hexdigest()
        for entry in stored["objects"]
    }
    assert in_orthanc == {output["sha256"] for output in manifest["outputs"]}
    assert {entry["kind"] for entry in stored["objects"]} == {"SEG", "SR"}


def test_the_study_says_in_orthanc_itself_how_it_stands(site: Site, stored: dict) -> None:
    """By a label, or by metadata where this Orthanc has no labels."""
    study = f"/studies/{stored['orthanc_id']}"
    something = any(one["present"] for one in stored["findings"] if one["code"]["value"] != "123014")
    expected = "ai-finding" if something else "ai-clear"
    site.wait(lambda: said_of(site, study) == [expected], "the label")


def said_of(site: Site, study: str) -> list[str]:
    labels = site.orthanc.http.get(f"{study}/labels")
    return labels.json() if labels.is_success else [site.orthanc.http.get(f"{study}/metadata/{METADATA}").text]


def test_own_objects_do_not_start_another_run(site: Site, stored: dict) -> None:
    # Their arrival makes the study stable once more, which wakes the service up.
    site.wait(lambda: site.stable_events(stored["orthanc_id"]) == 2, "the second stable event")
    before = site.work_counts()
    site.wait(lambda: site.sweeps() >= 2, "another sweep")
    assert site.work_counts() == before
    assert site.modalities(stored["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_other_peoples_results_do_not_start_another_run(
    site: Site, stored: dict, make_study: MakeStudy, tmp_path: Path
) -> None:
    before, events = site.work_counts(), site.stable_events(stored["orthanc_id"])
    _, paths = make_study("arrival")
    for number, modality in enumerate(("SR", "OT", "KO")):
        values = {"Modality": modality, "SeriesInstanceUID": f"1.2.3.{number}", "SOPInstanceUID": f"1.2.3.4.{number}"}
        (foreign,) = changed(paths[:1], tmp_path, **values)
        site.orthanc.http.post("/instances", content=foreign.read_bytes()).raise_for_status()
    site.wait(lambda: site.stable_events(stored["orthanc_id"]) > events, "another stable event")
    seen = site.sweeps()
    site.wait(lambda: site.sweeps() > seen, "another sweep")
    assert site.work_counts() == before
    assert site.study(stored["study_instance_uid"])["work_id"] == stored["work_id"]
    for series in site.get(f"/studies/{stored['orthanc_id']}/series"):
        if series["MainDicomTags"]["SeriesInstanceUID"].startswith("1.2.3."):
            site.orthanc.http.delete(f"/series/{series['ID']}").raise_for_status()


def test_every_series_of_the_study_has_its_reason(site: Site, stored: dict) -> None:
    def shown() -> dict[str, list[str]]:
        return {one["modality"]: one["reasons"] for one in site.get(f"/curia/studies/{stored['orthanc_id']}")["series"]}

    site.wait(lambda: len(shown()) == 3, "the series that were written")
    assert shown()["SEG"] == shown()["SR"] == ["written by curia-pacs"]
    assert any(reason.startswith("8 slices over ") for reason in shown()["CT"])


def test_the_same_study_sent_twice_gives_one_result(site: Site, stored: dict, make_study: MakeStudy) -> None:
    _, paths = make_study("arrival")
    before = site.work_counts()
    site.send(paths)
    seen = site.sweeps()
    site.wait(lambda: site.sweeps() >= seen + 2, "two sweeps")
    assert site.work_counts() == before
    assert site.modalities(stored["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_source_files_are_gone_and_results_kept(site: Site, stored: dict) -> None:
    assert list((site.orthanc.data_folder / "source").iterdir()) == []
    assert [path.name for path in (site.orthanc.data_folder / "results").iterdir()] == [stored["work_id"]]


def test_a_forced_run_restores_an_object_that_was_deleted(site: Site, stored: dict) -> None:
    seg = next(entry for entry in stored["objects"] if entry["kind"] == "SEG")
    site.orthanc.http.delete(f"/instances/{seg['orthanc_instance_id']}").raise_for_status()
    assert site.modalities(stored["orthanc_id"]) == {"CT": 1, "SR": 1}
    answer = site.orthanc.http.post(f"/curia/studies/{stored['orthanc_id']}/run")
    assert answer.status_code == 202
    site.wait(lambda: site.modalities(stored["orthanc_id"])["SEG"], "the SEG again")
    view = site.wait_for_state(stored["study_instance_uid"], "stored")
    assert site.modalities(stored["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}
    assert view["objects"] == stored["objects"]


def test_the_study_page_and_the_work_list_agree(site: Site, stored: dict) -> None:
    alone = site.get(f"/curia/studies/{stored['orthanc_id']}")
    assert alone == site.study(stored["study_instance_uid"])
    assert alone["findings"] or alone["series"]
    assert alone["seconds"]["stable_to_end"] > 0


def test_no_patient_in_logs_results_and_answers(site: Site, stored: dict) -> None:
    results = site.orthanc.data_folder / "results" / stored["work_id"]
    texts = [path.read_text() for path in (site.orthanc.service_log, site.orthanc.log, results / "result.json")]
    texts.append(json.dumps(stored))
    assert not [canary for canary in CANARIES for text in texts if canary in text]
    # The canary is really there to be found: the objects carry the patient, as they must.
    assert str(dcmread(next(results.glob("*.dcm"))).PatientName) == CANARIES[0]


def test_the_log_names_no_study_uid(site: Site, stored: dict) -> None:
    assert stored["study_instance_uid"] not in site.orthanc.service_log.read_text()


@pytest.mark.parametrize("path", ["/curia/worklist", "/curia/health", "/curia/studies/0a"])
def test_routes_need_orthancs_credentials(site: Site, path: str) -> None:
    assert httpx.get(site.orthanc.url + path, trust_env=False).status_code == 401
    assert httpx.get(site.orthanc.url + path, auth=(USER, "wrong"), trust_env=False).status_code == 401


def test_wrong_requests_are_refused(site: Site, stored: dict) -> None:
    assert site.orthanc.http.get(f"/curia/studies/{stored['orthanc_id']}/run").status_code == 400
    assert site.orthanc.http.get("/curia/studies/0a").status_code == 422
    assert site.orthanc.http.get("/curia/studies/" + "-".join(["0" * 8] * 5)).status_code == 404
    assert site.orthanc.http.get("/curia/worklist?limit=0").status_code == 422


def test_the_service_itself_needs_its_token(site: Site) -> None:
    assert site.service_get("/curia/worklist").status_code == 401
    assert site.service_get("/livez").status_code == 200
    assert site.service_get("/readyz").status_code == 200


def test_a_late_slice_replaces_the_result(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("late")
    site.send(paths[:-1])
    first = site.wait_for_state(uid, "stored")
    site.send(paths[-1:])
    site.wait(lambda: site.study(uid)["work_id"] not in (None, first["work_id"]), "new work")
    second = site.wait_for_state(uid, "stored")
    assert {entry["sop_instance_uid"] for entry in first["objects"]}.isdisjoint(
        entry["sop_instance_uid"] for entry in second["objects"]
    )
    assert site.work_counts()["superseded"] == 1


def test_a_study_without_ct_or_mr_is_not_applicable(site: Site, tmp_path: Path, make_study: MakeStudy) -> None:
    uid, paths = make_study("ultrasound")
    dataset = dcmread(paths[0])
    dataset.Modality = "US"
    dataset.save_as(tmp_path / "one.dcm")
    site.send([tmp_path / "one.dcm"])
    view = site.wait_for_state(uid, "not-applicable")
    assert view["reason"]["message"] == "the study has no CT or MR images"


def test_a_study_that_does_not_suit_the_pipeline_says_why(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("one-slice")
    site.send(paths[:1])
    view = site.wait_for_state(uid, "not-applicable", "failed", "stored")
    assert view["state"] == "not-applicable"
    assert view["reason"]["code"] == "no-suitable-series"
    assert [series["decision"] for series in view["series"]] == ["rejected"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1}
