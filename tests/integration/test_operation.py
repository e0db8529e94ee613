"""Back-up, restore and upgrade, as docs/operation.md tells them."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from integration.running_site import Site, build_small_study, own_service, running_site

pytestmark = pytest.mark.integration

# A pipeline of another version: the real worker under another digest.
OTHER_VERSION = """
import json, subprocess, sys
worker = subprocess.Popen([sys.executable, "-m", "app.worker", *sys.argv[1:]], stdin=sys.stdin, stdout=-1, text=True)
greeting = json.loads(worker.stdout.readline())
print(json.dumps(greeting | {"pipeline_digest": greeting["pipeline_digest"][::-1]}), flush=True)
for line in worker.stdout:
    print(line, end="", flush=True)
"""


def _stored(site: Site, uid: str) -> dict:
    view = site.wait_for_state(uid, "stored", "failed")
    assert view["state"] == "stored", view["reason"]
    assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SR": 1}
    return view


@pytest.mark.fault("database restored or lost", "an older copy, then none")
def test_restored_and_lost_databases_lose_and_double_nothing(tmp_path: Path) -> None:
    early, late = (build_small_study(name, tmp_path / name) for name in ("early", "late"))
    data, copy = tmp_path / "service", tmp_path / "copy.sqlite"
    with running_site(tmp_path / "orthanc") as site:
        with own_service(site, data, orthanc_url=site.orthanc.url):
            site.send(early[1])
            _stored(site, early[0])
            with closing(sqlite3.connect(data / "service.sqlite")) as live, closing(sqlite3.connect(copy)) as target:
                live.backup(target)
            site.send(late[1])
            objects = _stored(site, late[0])["objects"]
        for restored in (copy, None):
            shutil.rmtree(data)
            data.mkdir()
            if restored is not None:
                shutil.copy(restored, data / "service.sqlite")
            with own_service(site, data, orthanc_url=site.orthanc.url):
                _stored(site, early[0])
                assert _stored(site, late[0])["objects"] == objects


@pytest.mark.fault("upgrade", "a study in flight")
def test_a_study_in_flight_is_taken_over_by_the_new_version(tmp_path: Path) -> None:
    done, flying = (build_small_study(name, tmp_path / name) for name in ("done", "flying"))
    with running_site(tmp_path / "orthanc") as site:
        with own_service(site, tmp_path / "service", orthanc_url=site.orthanc.url):
            site.send(done[1])
            first = _stored(site, done[0])
            site.send(flying[1])
            site.wait(lambda: (site.study(flying[0]) or {}).get("work_id"), "work in flight")
        assert len(site.get("/studies")) == 2
        command = [sys.executable, "-c", OTHER_VERSION]
        with own_service(site, tmp_path / "service", orthanc_url=site.orthanc.url, worker_command=command):
            _stored(site, flying[0])
            assert site.study(done[0])["work_id"] == first["work_id"]
