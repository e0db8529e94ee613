"""What is killed, broken or absent costs time and nothing else."""

import os
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from canned_answers import answering, make_certificate
from integration.cutting_proxy import cutting_proxy
from integration.running_site import FAST, Site, own_service, running_site

pytestmark = pytest.mark.integration

MakeStudy = Callable[[str], tuple[str, list[Path]]]


def test_service_killed_while_running_gives_one_result(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("killed-running")
    site.send(paths)
    site.wait_for_state(uid, "running")
    service = site.orthanc.service_pid()
    assert service is not None
    os.kill(service, signal.SIGKILL)
    site.wait(lambda: site.orthanc.service_pid() not in (None, service), "the plugin's new service")
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}
    assert view["worker_crashes"] == 0


def test_work_that_a_clean_stop_interrupted_is_taken_up_again(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("stopped-running")
    site.wait_for_pipeline()
    site.send(paths)
    site.wait_for_state(uid, "running")
    site.orthanc.stop()
    site.orthanc.start()
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_worker_killed_on_a_study_is_replaced(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("killed-worker")
    site.wait_for_pipeline()
    site.send(paths)
    site.wait_for_state(uid, "running")
    for child in site.worker_pids():
        os.kill(child, signal.SIGKILL)
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_a_study_that_kills_its_worker_three_times_is_set_aside(tmp_path: Path, make_study: MakeStudy) -> None:
    uid, paths = make_study("deadly")
    deadly = """
import json, os, sys
model = {"name": "deadly", "version": "1", "demonstration": True}
print(json.dumps({"ready": True, "pipeline_digest": "d", "model": model}), flush=True)
sys.stdin.readline()
os._exit(1)
"""
    with running_site(tmp_path, service=FAST | {"worker_command": [sys.executable, "-c", deadly]}) as site:
        site.send(paths)
        view = site.wait_for_state(uid, "failed", "stored")
        assert (view["state"], view["reason"]["code"], view["worker_crashes"]) == ("failed", "worker-crash", 3)
        seen = site.sweeps()
        site.wait(lambda: site.sweeps() >= seen + 2, "two sweeps")
        later = site.study(uid)
        assert (later["state"], later["work_id"], later["worker_crashes"]) == ("failed", view["work_id"], 3)
        assert site.modalities(view["orthanc_id"]) == {"CT": 1}


def test_orthanc_killed_before_the_study_is_stable_loses_nothing(site: Site, make_study: MakeStudy) -> None:
    uid, paths = make_study("killed-orthanc")
    site.send(paths)
    site.orthanc.kill()
    site.orthanc.start()
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    # Orthanc itself never said a word about it: the sweep found the study.
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_service_killed_between_two_uploads_gives_one_result(tmp_path: Path, make_study: MakeStudy) -> None:
    uid, paths = make_study("killed-uploading")
    with running_site(tmp_path / "orthanc") as site, cutting_proxy(site.orthanc.url) as proxy:
        site.send(paths)
        with own_service(site, tmp_path / "service", orthanc_url=proxy.url) as first:
            proxy.cut, proxy.cut_at = first.kill, 2
            assert first.wait(120) == -signal.SIGKILL
        orthanc_id = site.get("/studies")[0]
        modalities = site.modalities(orthanc_id)
        assert modalities["SEG"] + modalities["SR"] == 1
        with own_service(site, tmp_path / "service", orthanc_url=proxy.url):
            view = site.wait_for_state(uid, "stored", "failed")
            assert view["state"] == "stored", view["reason"]
        assert site.modalities(orthanc_id) == {"CT": 1, "SEG": 1, "SR": 1}


def test_without_the_service_orthanc_works_and_routes_say_so(tmp_path: Path, make_study: MakeStudy) -> None:
    uid, paths = make_study("no-service")
    with running_site(tmp_path) as site:
        site.send(paths)
        assert [one["MainDicomTags"]["StudyInstanceUID"] for one in site.get("/studies?expand")] == [uid]
        for path in ("/curia/worklist", "/curia/health"):
            answer = site.orthanc.http.get(path)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("the Curia service does not answer")
        answer = site.orthanc.http.post("/curia/studies/0a/run")
        assert answer.status_code == 503


@pytest.mark.parametrize(
    "section",
    [{"Pyhton": "/usr/bin/python3"}, {"Python": "/nowhere/python"}, {"ServiceUrl": 7}],
    ids=["unknown key", "no such interpreter", "wrong type"],
)
def test_a_broken_plugin_section_does_not_stop_orthanc(tmp_path: Path, section: dict) -> None:
    with running_site(tmp_path, curia=section) as site:
        assert site.get("/system")["Name"] == "Curia demo"
        site.wait(lambda: "Curia:" in site.orthanc.log.read_text(), "a word in Orthanc's log", 10.0)


def test_a_service_behind_tls_is_spoken_to_from_inside_orthanc(tmp_path: Path, make_study: MakeStudy) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*(certificate := make_certificate(tmp_path)))
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    with answering(answer, tls=tls) as service:
        section = {
            "ServiceUrl": f"https://localhost:{service.port}",
            "ServiceCa": str(certificate[0]),
            "Token": "t0ken",
        }
        with running_site(tmp_path / "orthanc", curia=section) as site:
            assert b"POST /nudge" in service.asked.get(timeout=10)
            assert site.get("/curia/health") == {}
            assert b"Bearer t0ken" in service.asked.get(timeout=10)
            site.send(make_study("behind-tls")[1])
            assert b'"study": "' in service.asked.get(timeout=10)


def test_the_interpreter_away_for_a_moment_and_garbage_from_the_service(tmp_path: Path) -> None:
    python = tmp_path / "python"
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as service:
        section = {"ServiceUrl": f"http://127.0.0.1:{service.port}", "Python": str(python)}
        with running_site(tmp_path / "orthanc", curia=section) as site:
            for _ in range(2):
                answer = site.orthanc.http.get("/curia/worklist")
                assert (answer.status_code, answer.json().keys()) == (503, {"detail"})
            site.wait(lambda: "FileNotFoundError" in site.orthanc.log.read_text(), "a word in Orthanc's log", 10.0)
            python.symlink_to(sys.executable)
            site.wait(site.orthanc.service_pid, "the service", 10.0)
