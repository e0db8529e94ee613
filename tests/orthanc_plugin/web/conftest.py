"""The routes on a real ledger; no Orthanc is up, and of the pipeline a greeting."""

import json
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
from orthanc_plugin.work.hosts import Heartbeats, Watchdog
from service_cases import MODEL


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    stop = threading.Event()
    greeting = {"ready": True, "pipeline_digest": "p", "model": MODEL}
    command = (sys.executable, "-c", f"print({json.dumps(greeting)!r}, flush=True); input()")
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
def client(
    ledger: Ledger, intake: Intake, pool: WorkerPool, watchdog: Watchdog, roles: Roles, tmp_path: Path
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
        token="t0ken", roles=roles, ledger=ledger, intake=intake, workers=pool, alarms=alarms, registry=registry
    )
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
