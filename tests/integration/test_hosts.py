"""Services that share one PostgreSQL and one Orthanc, while hosts die, are paused, and are taken down by a study.

Each host's pipeline gives other UIDs, as another device's arithmetic may: what two hosts store cannot hide behind one
another.
"""

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg
import pytest

from integration import stand_in_pipeline
from integration.cutting_proxy import cutting_proxy
from integration.running_postgres import dump, new_database, restore, running_postgres
from integration.running_site import Site, build_small_study, changed, own_service, running_site
from orthanc_plugin.demo.local_orthanc import free_ports
from orthanc_plugin.work.attempts import MAX_HOST_CRASHES

pytestmark = pytest.mark.integration
fault = pytest.mark.fault

Study = tuple[str, list[Path]]
TAKE_OVER_SECONDS = 3.0
# To a peer that Orthanc does not know, so that what is to be sent stays in the table.
DESTINATIONS = [{"name": "pacs", "modality": "nobody"}]
PAUSED = "host paused, taken for dead, continued", "in upload {upload} of 2"


class Hosts:
    """One Orthanc, one database, and services that share them."""

    def __init__(self, site: Site, database_url: str, folder: Path) -> None:
        self.site, self.database_url, self.folder = site, database_url, folder

    def send(self, *names: str, **values: str) -> list[Study]:
        studies = []
        for name in names:
            uid, paths = build_small_study(name, self.folder / name)
            paths = changed(paths, self.folder / name, **values)
            self.site.send(paths)
            studies.append((uid, paths))
        return studies

    def host(self, name: str, *, seconds: float = 0.0, **more: Any) -> AbstractContextManager[Popen]:
        """A service under *name*, whose pipeline takes *seconds* for a study."""
        pipeline = [sys.executable, stand_in_pipeline.__file__, "--host", name, "--seconds", str(seconds)]
        settings = {
            "orthanc_url": self.site.orthanc.url, "database_url": self.database_url, "executor_id": name,
            "take_over_seconds": TAKE_OVER_SECONDS, "worker_command": pipeline, "destinations": DESTINATIONS,
        }  # fmt: skip
        return own_service(self.site, self.folder / f"data-{name}", **settings | more)

    def log(self) -> str:
        return self.site.orthanc.service_log.read_text()

    def select(self, query: str) -> list[Any]:
        with psycopg.connect(self.database_url.replace("+psycopg", "")) as connection:
            return [row[0] for row in connection.execute(query)]

    def at_work(self) -> set[str]:
        """Hosts with a study under way."""
        if self.select("SELECT to_regclass('dbos.workflow_status')") == [None]:
            return set()
        return set(self.select("SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING'"))

    def check_one_result(self, uid: str) -> dict[str, Any]:
        """The study has one result set, the archive holds that and no other, and each object is to be sent once."""
        view = self.site.wait_for_state(uid, "stored", "failed")
        assert view["state"] == "stored", view["reason"]
        found = self.site.get(f"/studies/{view['orthanc_id']}/instances")
        written = self._written(found)
        assert written == {one["sop_instance_uid"] for one in view["objects"]}
        query = f"SELECT sop_instance_uid FROM curia_deliveries WHERE work_id = '{view['work_id']}'"
        assert sorted(self.select(query)) == sorted(written)
        return view

    def _written(self, instances: list[dict[str, Any]]) -> set[str]:
        """UIDs of those that came from a pipeline."""
        modality = {one["ID"]: one["MainDicomTags"]["Modality"] for one in self.site.get("/series?expand")}
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in instances if modality[one["ParentSeries"]] != "CT"}


def _listen() -> str:
    """An address for a host that the plugin does not know."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("orthanc")) as site:
        yield site


@pytest.fixture
def hosts(orthanc: Site, postgres: str, tmp_path: Path) -> Iterator[Hosts]:
    orthanc.orthanc.service_log.write_text("")
    yield Hosts(orthanc, new_database(postgres, f"curia-{uuid.uuid4().hex}"), tmp_path)
    for orthanc_id in orthanc.get("/studies"):
        orthanc.orthanc.http.delete(f"/studies/{orthanc_id}").raise_for_status()


@fault("host killed", "with a study in hand", short=True)
def test_a_killed_hosts_study_is_taken_over_and_every_study_has_one_result(hosts: Hosts) -> None:
    studies = hosts.send("killed-1", "killed-2", "killed-3")
    # The plugin of this Orthanc talks to the host that lives on.
    with hosts.host("living", seconds=0.5), hosts.host("dying", seconds=0.5, listen=_listen()) as dying:
        hosts.site.wait(lambda: "dying" in hosts.at_work(), "a study on the host that is to die")
        os.kill(dying.pid, signal.SIGKILL)
        for uid, _ in studies:
            hosts.check_one_result(uid)
        assert "took over from a dead host" in hosts.log()
        assert hosts.site.get("/statistics")["CountStudies"] == len(studies)
        assert hosts.site.work_counts() == {"stored": len(studies)}


@pytest.mark.parametrize(
    "upload", [pytest.param(1, marks=fault(*PAUSED)), pytest.param(2, marks=fault(*PAUSED, short=True))]
)
def test_a_host_that_was_paused_and_taken_for_dead_adds_nothing(hosts: Hosts, upload: int) -> None:
    ((uid, _),) = hosts.send("paused")
    with cutting_proxy(hosts.site.orthanc.url) as proxy:
        with hosts.host("paused", orthanc_url=proxy.url, listen=_listen()) as paused:
            # In the middle of an upload, which it repeats when it goes on.
            proxy.cut, proxy.cut_at = lambda: os.kill(paused.pid, signal.SIGSTOP), upload
            hosts.site.wait(lambda: proxy.stored == upload, "an upload")
            with hosts.host("living"):
                before = hosts.check_one_result(uid)
                os.kill(paused.pid, signal.SIGCONT)
                hosts.site.wait(lambda: "taken away by another attempt" in hosts.log(), "the end of the go")
                assert proxy.stored > upload
                hosts.site.wait(lambda: hosts.at_work() == set(), "the end of all work")
                after = hosts.check_one_result(uid)
                assert (after["objects"], after["work_id"]) == (before["objects"], before["work_id"])
                assert hosts.site.work_counts() == {"stored": 1}
                # It is one of the hosts again.
                later = hosts.send("after-the-pause")[0][0]
                hosts.check_one_result(later)
                assert set(hosts.select("SELECT executor_id FROM curia_hosts")) == {"paused", "living"}


@fault("host dies in a study", "three times, beside two sound studies")
def test_a_study_that_takes_its_host_down_is_set_aside_and_its_neighbours_go_on(hosts: Hosts) -> None:
    ((deadly, _),) = hosts.send("deadly", StudyDescription="DEADLY")
    neighbours = hosts.send("beside-1", "beside-2")
    for _ in range(MAX_HOST_CRASHES):
        with hosts.host("restarted") as service:
            assert service.wait(60) == -signal.SIGKILL
    with hosts.host("restarted"):
        view = hosts.site.wait_for_state(deadly, "failed", "stored")
        assert (view["state"], view["reason"]["code"]) == ("failed", "host-crash")
        for uid, _ in neighbours:
            hosts.check_one_result(uid)
        seen = hosts.site.sweeps()
        hosts.site.wait(lambda: hosts.site.sweeps() >= seen + 2, "two sweeps")
        assert hosts.site.work_counts() == {"failed": 1, "stored": len(neighbours)}


@fault("PostgreSQL restored", "from an older dump, with a study in flight in it")
def test_a_restored_database_loses_and_doubles_nothing(hosts: Hosts, tmp_path: Path) -> None:
    ((early, _),) = hosts.send("before-the-dump")
    with hosts.host("here"):
        stored = hosts.check_one_result(early)
        before = hosts.site.work_counts()
    with hosts.host("here", seconds=2.0):
        ((flying, _),) = hosts.send("in-flight")
        hosts.site.wait(lambda: "here" in hosts.at_work(), "a study in flight")
        backup = dump(hosts.database_url)
        ((late, _),) = hosts.send("after-the-dump")
        done = [hosts.check_one_result(uid) for uid in (flying, late)]
    restore(hosts.database_url, backup)
    assert hosts.select("SELECT state FROM curia_jobs ORDER BY state")[-1] == "stored"
    with hosts.host("here"):
        again = [hosts.check_one_result(uid) for uid in (flying, late)]
        assert hosts.check_one_result(early)["objects"] == stored["objects"]
        assert [one["objects"] for one in again] == [one["objects"] for one in done]
        assert hosts.site.work_counts() == {"stored": 3}
        assert before == {"stored": 1}
