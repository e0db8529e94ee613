"""Two services share one PostgreSQL and one Orthanc; one is killed in the middle of a study."""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from integration.running_postgres import running_postgres
from integration.running_site import own_service, running_site

pytestmark = pytest.mark.integration

MakeStudy = Callable[[str], tuple[str, list[Path]]]
TAKE_OVER_SECONDS = 3.0
STUDIES = 3


@pytest.fixture
def postgres() -> Iterator[str]:
    # Not in pytest's folders, which are closed to PostgreSQL's own user.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with running_postgres(Path(folder) / "postgres") as url:
            yield url


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _hosts_at_work(url: str) -> set[str]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        rows = connection.execute("SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING'")
        return {row[0] for row in rows}


def test_a_killed_hosts_study_is_taken_over_and_every_study_has_one_result(
    tmp_path: Path, postgres: str, make_study: MakeStudy
) -> None:
    studies = [make_study(f"hosts-{number}") for number in range(STUDIES)]
    with running_site(tmp_path / "orthanc") as site, ExitStack() as hosts:
        for _, paths in studies:
            site.send(paths)
        # The plugin of this Orthanc talks to the host that lives on.
        ports = {"living": site.orthanc.service_port, "dying": _free_port()}
        services = {
            name: hosts.enter_context(
                own_service(
                    site,
                    tmp_path / name,
                    orthanc_url=site.orthanc.url,
                    database_url=postgres,
                    executor_id=name,
                    take_over_seconds=TAKE_OVER_SECONDS,
                    listen=f"127.0.0.1:{port}",
                )
            )
            for name, port in ports.items()
        }
        site.wait(lambda: (tmp_path / "orthanc" / "service.log").read_text().count('"queued"') >= STUDIES, "the queue")
        site.wait(lambda: "dying" in _hosts_at_work(postgres), "a study on the host that is to die")
        os.kill(services["dying"].pid, signal.SIGKILL)
        for uid, _ in studies:
            view = site.wait_for_state(uid, "stored", "failed")
            assert view["state"] == "stored", view["reason"]
            assert site.modalities(view["orthanc_id"]) == {"CT": 1, "SEG": 1, "SR": 1}
        assert "took over from a dead host" in site.orthanc.service_log.read_text()
        assert site.get("/statistics")["CountStudies"] == STUDIES
        assert site.work_counts() == {"stored": STUDIES}
