"""The routes on a real ledger; no Orthanc is up, and of the pipeline a greeting."""

import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.intake.intake import Intake, Timing
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.orthanc_access import OrthancAccess
from orthanc_plugin.site.roles import Roles
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.upkeep.metrics import ServiceMetrics, StageMetrics
from orthanc_plugin.web.application import build_application
from orthanc_plugin.work.encoding import Encoding
from orthanc_plugin.work.hosts import Heartbeats, Watchdog
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.priors import Priors
from orthanc_plugin.work.work_beside import WorkBeside
from service_cases import MODEL

ANSWERING = f"""
import json, pathlib, sys
print(json.dumps({{"ready": True, "pipeline_digest": "p", "model": {MODEL}}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    reply = {{"id": asked["id"], "exit_code": 0, "seconds": 0.5}}
    grid = {{"series": "1.2", "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "shape": [1, 1, 2]}}
    if asked["verb"] == "similarity" and asked["points"][0]["series"] != "1.2":
        reply |= {{"exit_code": 4, "message": "series 3 was not encoded"}}
    elif asked["verb"] == "similarity":
        reply["maps"] = [grid | {{"is_prior": False, "values": "/wA="}}]
    elif asked["verb"] == "region" and asked["threshold"] < 0.9:
        size = dict.fromkeys(("volume_ml", "long_axis_mm", "short_axis_mm", "longest_diameter_mm"), 2.5)
        reply["region"] = grid | size | {{"bits": "AQ=="}}
    elif asked["verb"] == "read":
        (pathlib.Path(asked["features"]) / "kept.json").touch()
    print(json.dumps(reply), flush=True)
"""
"""A pipeline that has the same answers for everybody."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    stop = threading.Event()
    command = (sys.executable, "-c", ANSWERING)
    worker = Worker(command, ready_seconds=10, deadline_seconds=1, max_resident_bytes=1e12, stop=stop)
    yield WorkerPool([worker], stop=stop)
    worker.close()


@pytest.fixture
def intake(ledger: Ledger, pool: WorkerPool) -> Iterator[Intake]:
    stop, wishes = threading.Event(), queue.SimpleQueue()
    orthanc = OrthancClient(OrthancAccess("http://127.0.0.1:9"), patience_seconds=0.1, stop=stop)
    timing = Timing(quiet_seconds=1.0, incomplete_seconds=1.0, poll_seconds=2.0, sweep_seconds=1.0, backlog_days=1.0)
    yield Intake(
        timing, rules=(), reader="here", client=orthanc, ledger=ledger, engine=None, workers=pool, wishes=wishes,
        stop=stop,
    )  # fmt: skip
    orthanc.close()


@pytest.fixture
def roles() -> Roles:
    return Roles()


@pytest.fixture
def encoding(ledger: Ledger, pool: WorkerPool, tmp_path: Path) -> Iterator[Encoding]:
    """Beside an archive that does not answer; its thread does not run."""
    stop = threading.Event()
    orthanc = OrthancClient(OrthancAccess("http://127.0.0.1:9"), patience_seconds=0.1, stop=stop)
    for name in ("features", "encoding"):
        (tmp_path / name).mkdir()
    kept = KeptFeatures(tmp_path / "features", limit_bytes=1e12)
    yield Encoding(
        kept, client=orthanc, priors=Priors(orthanc, count=0, seconds=1.0),
        jobs=ledger.jobs, workers=pool, folder=tmp_path / "encoding", stop=stop,
    )  # fmt: skip
    orthanc.close()


@pytest.fixture
def begun() -> list[str]:
    """Ids of work on marked regions that was begun."""
    return []


@pytest.fixture
def client(
    ledger: Ledger,
    intake: Intake,
    pool: WorkerPool,
    watchdog: Watchdog,
    roles: Roles,
    encoding: Encoding,
    begun: list[str],
    tmp_path: Path,
) -> Iterator[TestClient]:
    registry = CollectorRegistry()
    StageMetrics(registry, ledger.jobs)
    space = FreeSpace(tmp_path, least_bytes=0)
    alarms = Alarms(
        ledger.figures, is_in_contact=lambda: intake.is_in_contact, archive_faults=RecentFaults(), workers=pool,
        space=space, watchdog=watchdog,
        overdue_seconds=3600.0,
    )  # fmt: skip
    metrics = ServiceMetrics(
        ledger.figures, outbox=Outbox(ledger.database), workers=pool, space=space, alarms=alarms.states,
        overdue_seconds=3600.0,
    )  # fmt: skip
    registry.register(metrics)
    application = build_application(
        token="t0ken", roles=roles, ledger=ledger, intake=intake, workers=pool, encoding=encoding,
        beside=WorkBeside(ledger.jobs, pool, begin=begun.append), alarms=alarms,
        registry=registry,
    )  # fmt: skip
    with TestClient(application) as client:
        yield client


@pytest.fixture
def watchdog(ledger: Ledger) -> Watchdog:
    return Watchdog(
        Heartbeats(ledger.database), executor_id="here", take_over_seconds=60.0, take_over=lambda _: 0,
        stop=threading.Event(),
    )  # fmt: skip


@pytest.fixture
def ready(client: TestClient, intake: Intake, pool: WorkerPool, watchdog: Watchdog) -> TestClient:
    """A client of a service that lacks nothing."""
    intake.last_contact = time.time()
    pool.workers[0].start()
    watchdog.look(time.monotonic())
    assert client.get("/readyz").status_code == 200
    return client
