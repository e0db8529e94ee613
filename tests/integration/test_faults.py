"""What is killed, broken or absent costs time and nothing else."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from integration.running_site import FAST, Site, running_site
from orthanc_plugin.demo.local_orthanc import USER

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
    for child in _children(site.orthanc.service_pid()):
        os.kill(child, signal.SIGKILL)
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}


def test_a_study_that_kills_its_worker_three_times_is_set_aside(tmp_path: Path, make_study: MakeStudy) -> None:
    uid, paths = make_study("deadly")
    deadly = """
import json, os, sys
print(json.dumps({"ready": True, "pipeline_digest": "d", "model": {"name": "deadly"}}), flush=True)
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
    with running_site(tmp_path / "orthanc") as site, _cutting_proxy(site.orthanc.url) as proxy:
        site.send(paths)
        with _own_service(site, tmp_path / "service", orthanc_url=proxy.url) as first:
            proxy.cut = first.kill
            assert first.wait(120) == -signal.SIGKILL
        orthanc_id = site.get("/studies")[0]
        modalities = site.modalities(orthanc_id)
        assert modalities["SEG"] + modalities["SR"] == 1
        with _own_service(site, tmp_path / "service", orthanc_url=proxy.url):
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


def _children(pid: int | None) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


@contextmanager
def _own_service(site: Site, folder: Path, *, orthanc_url: str) -> Iterator[subprocess.Popen]:
    """The service as a site runs it on its own, with an Orthanc user instead of the plugin's token."""
    settings = FAST | {"data_folder": folder, "orthanc_username": USER, "orthanc_password": site.orthanc.password}
    settings |= {"orthanc_url": orthanc_url, "listen": f"127.0.0.1:{site.orthanc.service_port}"}
    environment = {f"CURIA_{key.upper()}": str(value) for key, value in settings.items()}
    with site.orthanc.service_log.open("ab") as log:
        service = subprocess.Popen([sys.executable, "-m", "orthanc_plugin"], env=os.environ | environment, stderr=log)
    try:
        yield service
    finally:
        service.terminate()
        service.wait(30)


class _CuttingProxy(ThreadingHTTPServer):
    """Passes everything on to Orthanc, but calls ``cut`` instead when a second object is to be stored."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _CuttingHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.client = httpx.Client(base_url=target, trust_env=False, timeout=30.0)
        self.cut: Callable[[], object] | None = None
        self.stored = 0


class _CuttingHandler(BaseHTTPRequestHandler):
    server: _CuttingProxy

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.stored += 1
        if self.server.cut is not None and self.server.stored == 2:
            self.server.cut()
            self.close_connection = True
            return
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        headers = {"Authorization": self.headers["Authorization"], "Accept-Encoding": "identity"}
        answer = self.server.client.request(self.command, self.path, content=body, headers=headers)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Not on the test's terminal."""


@contextmanager
def _cutting_proxy(target: str) -> Iterator[_CuttingProxy]:
    with _CuttingProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            proxy.client.close()
            thread.join()
