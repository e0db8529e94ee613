"""A service with nothing but its routes and a ledger, filled as a busy site's is."""

import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

import service_cases
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake, Timing
from orthanc_plugin.ledger import database as db
from orthanc_plugin.ledger.jobs import Job, _as_columns
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.orthanc_access import OrthancAccess
from orthanc_plugin.site.roles import Roles
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.web.application import build_application
from orthanc_plugin.work.encoding import Encoding
from orthanc_plugin.work.hosts import Heartbeats, Watchdog
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.priors import Priors
from orthanc_plugin.work.work_beside import WorkBeside

ROWS, SLICES, SIDE = 5000, 1000, 512
STUDY_ID, EARLIER_ID = ("-".join([f"{number:08x}"] * 5) for number in (0, 0xFFFFFFFF))
TODAY, EARLIER = "1.2.3.1", "1.2.3.2"
FINDING = {
    "name": "soft-tissue mass", "code": {"value": "4147007", "scheme": "SCT", "meaning": "Mass"}, "site": None,
    "head": "h", "probability": 0.9, "threshold": 0.5, "present": True, "localisation": None,
}  # fmt: skip
SERIES = {
    "series_instance_uid": TODAY, "modality": "CT", "num_instances": SLICES, "decision": "selected", "reasons": ("CT",),
}  # fmt: skip
REGISTERED = {
    "fixed_series_instance_uid": TODAY, "moving_series_instance_uid": EARLIER, "transform": "rigid", "verdict": "good",
    "quality": {}, "outputs": ("5.1",),
}  # fmt: skip


def fill(ledger: Ledger, rows: int = ROWS) -> None:
    """Studies with results, all of them stored; the newest has slices and an earlier study."""
    model = {"name": "demo", "version": "1", "demonstration": True}
    said = {"status": "completed", "findings": (FINDING,), "series": (SERIES,), "model": model}
    result = Manifest.model_validate(said)
    newest = Manifest.model_validate(said | {"registration": (REGISTERED,)})
    now = time.time()
    with ledger.database.begin() as connection:
        for number in range(rows):
            orthanc_id = "-".join([f"{number:08x}"] * 5)
            job = replace(
                service_cases.JOB, orthanc_id=orthanc_id, study_instance_uid=f"1.2.{number}", work_id=f"w{number}",
                state=State.STORED, finished_at=now, result=result if number else newest,
            )  # fmt: skip
            if not number:
                matrix = service_cases.stored("REG", instance="5.1", orthanc_id="matrix")
                job = replace(job, objects=(matrix,), priors=(EARLIER_ID,))
            _insert(connection, job, now - 60 * number)


def _insert(connection: sa.Connection, job: Job, at: float) -> None:
    connection.execute(db.jobs.insert().values(**_as_columns(job)))
    connection.execute(
        db.studies.insert().values(
            orthanc_id=job.orthanc_id, study_instance_uid=job.study_instance_uid, state=job.state.value,
            work_id=job.work_id, updated_at=at,
        )
    )  # fmt: skip


@contextmanager
def page_service(ledger: Ledger, folder: Path, registry: CollectorRegistry) -> Iterator[FastAPI]:
    """Its routes, beside an archive that does not answer and a worker that is not started."""
    stop = threading.Event()
    orthanc = OrthancClient(OrthancAccess("http://127.0.0.1:9"), patience_seconds=0.1, stop=stop)
    worker = Worker((sys.executable, "-c", ""), ready_seconds=1, deadline_seconds=1, max_resident_bytes=1e12, stop=stop)
    workers = WorkerPool([worker], stop=stop)
    for name in ("features", "encoding"):
        (folder / name).mkdir()
    timing = Timing(quiet_seconds=1.0, incomplete_seconds=1.0, poll_seconds=2.0, sweep_seconds=1.0, backlog_days=1.0)
    intake = Intake(
        timing, rules=(), reader="here", client=orthanc, ledger=ledger, engine=None, workers=workers,
        wishes=queue.SimpleQueue(), stop=stop,
    )  # fmt: skip
    kept, priors = KeptFeatures(folder / "features", limit_bytes=1e12), Priors(orthanc, count=0, seconds=1.0)
    encoding = Encoding(
        kept, client=orthanc, priors=priors, jobs=ledger.jobs, workers=workers, folder=folder / "encoding", stop=stop
    )
    watchdog = Watchdog(
        Heartbeats(ledger.database), executor_id="here", take_over_seconds=60.0, take_over=lambda _: 0, stop=stop
    )
    alarms = Alarms(
        ledger.figures, is_in_contact=lambda: True, archive_faults=RecentFaults(), workers=workers,
        space=FreeSpace(folder, least_bytes=0), watchdog=watchdog, overdue_seconds=3600.0,
    )  # fmt: skip
    yield build_application(
        token=None, roles=Roles(), ledger=ledger, intake=intake, workers=workers, encoding=encoding,
        beside=WorkBeside(ledger.jobs, workers, begin=lambda _: None), alarms=alarms, registry=registry,
    )  # fmt: skip
    orthanc.close()
