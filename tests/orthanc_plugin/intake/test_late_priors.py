"""An earlier study that comes when today's is done starts one follow-up run, whoever sees it and however often."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest

from integration.warm_stand_in import warm_pool
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.source import select_source
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake, Timing
from orthanc_plugin.intake.late_priors import LatePriors
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.orthanc_access import OrthancAccess
from orthanc_plugin.work.engine import DurableEngine
from orthanc_plugin.work.priors import Priors


class Archive:
    """What Orthanc answers of one patient's studies, named by their dates."""

    def __init__(self) -> None:
        self.dates: list[str] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = archive.answer(urlparse(self.path).path).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str) -> str:
        match path.strip("/").split("/"):
            case ["tools", "now"]:
                return "20260131T120000"
            case ["changes"]:
                return json.dumps({"Changes": [], "Last": 0, "Done": True})
            case ["studies"] | ["patients", _, "studies"]:
                return json.dumps([self._study(date) for date in self.dates])
            case ["studies", date]:
                return json.dumps(self._study(date))
            case ["studies", _, "patient"]:
                return json.dumps({"ID": "patient"})
            case ["studies", date, "series"]:
                tags = {"SeriesInstanceUID": f"1.{date}.1", "Modality": "CT"}
                return json.dumps([{"Instances": [f"i-{date}"], "MainDicomTags": tags}])
            case ["instances", _, "simplified-tags"]:
                return json.dumps({"PatientID": "1"})
        raise AssertionError(path)

    def _study(self, date: str) -> dict[str, object]:
        tags = {"StudyInstanceUID": f"1.{date}", "StudyDate": date, "StudyTime": "1000"}
        return {"ID": date, "IsStable": True, "LastUpdate": "20260131T110000", "MainDicomTags": tags}


class Site:
    """One ledger and one engine that finishes whatever it is given; as many intakes as hosts would have."""

    def __init__(self, folder: Path, pool: WorkerPool, stop: threading.Event, closing: ExitStack) -> None:
        self.archive, self._pool, self._stop, self._closing = Archive(), pool, stop, closing
        closing.callback(self.archive.server.server_close)
        closing.callback(self.archive.server.shutdown)
        url = f"sqlite:///{folder / 'service.sqlite'}"
        self.ledger = Ledger.open(url)
        closing.callback(self.ledger.close)
        address = f"http://127.0.0.1:{self.archive.server.server_port}"
        self._client = OrthancClient(OrthancAccess(address), patience_seconds=5.0, stop=stop)
        closing.callback(self._client.close)
        self._priors = Priors(self._client, count=1, seconds=10.0)
        self._engine = DurableEngine(
            database_url=url, executor_id="here", attempt=self._attempt, steps=[("all", self._finish)], concurrency=1
        )
        self._engine.start()
        closing.callback(self._engine.stop)

    @contextmanager
    def _attempt(self, work_id: str) -> Iterator[int]:
        yield self.ledger.jobs.take_lease(work_id).lease

    def _finish(self, work_id: str, lease: int) -> str:
        jobs = self.ledger.jobs
        job = jobs.leased(work_id, lease)
        source = select_source(self._client.series(job.orthanc_id))
        assert source is not None
        jobs.start(job)
        jobs.note_priors(job, self._priors.wanted(job.orthanc_id, source), warnings=())
        for state in (State.WRITING, State.STORING):
            jobs.move(job, state)
        jobs.supersede_older(job)
        jobs.finish(job, ())
        return State.STORED.value

    def start_intake(self, *, follows: bool = True) -> None:
        intake = Intake(
            Timing(quiet_seconds=0.0, poll_seconds=0.1, incomplete_seconds=0.0, sweep_seconds=0.2, backlog_days=7.0),
            rules=(), reader="here", client=self._client, ledger=self.ledger, engine=self._engine,
            workers=self._pool, wishes=queue.SimpleQueue(), stop=self._stop,
            late_priors=LatePriors(self._client, self._priors) if follows else None,
        )  # fmt: skip
        thread = threading.Thread(target=intake.run)
        thread.start()
        self._closing.callback(thread.join)
        self._closing.callback(self._stop.set)

    def ended(self, date: str, count: int) -> list[Job]:
        """All work on a study, once so much of it has ended."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            jobs = self.ledger.jobs.of_study(date)
            if len(jobs) >= count and all(job.state.is_final for job in jobs):
                return jobs
            time.sleep(0.05)
        raise AssertionError(f"no {count} pieces of work on {date}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    stop = threading.Event()
    with ExitStack() as closing:
        pool = warm_pool(stop)
        closing.callback(pool.close)
        yield Site(tmp_path, pool, stop, closing)


def test_a_late_prior_is_followed_up_once(site: Site) -> None:
    site.archive.dates.append("20240101")
    site.start_intake()
    (first,) = site.ended("20240101", 1)
    assert (first.state, first.priors) == (State.STORED, ())
    site.start_intake()
    site.archive.dates.append("20230101")
    first, second = site.ended("20240101", 2)
    assert (first.state, second.state, second.priors) == (State.SUPERSEDED, State.STORED, ("20230101",))
    # A host that starts anew looks at everything; and an older prior is not the latest, so that nothing changes.
    site.start_intake()
    site.archive.dates.append("20220101")
    assert site.ended("20230101", 2)[1].priors == ("20220101",)
    site.ended("20220101", 1)
    time.sleep(1.0)
    assert [len(site.ledger.jobs.of_study(date)) for date in site.archive.dates] == [2, 2, 1]


def test_a_prior_that_was_there_is_no_late_one_and_a_site_may_leave_late_ones_alone(site: Site) -> None:
    site.archive.dates += ["20230101", "20240101"]
    site.start_intake(follows=False)
    assert site.ended("20240101", 1)[0].priors == ("20230101",)
    site.archive.dates.append("20230601")
    site.ended("20230601", 1)
    time.sleep(0.5)
    assert len(site.ledger.jobs.of_study("20240101")) == 1
