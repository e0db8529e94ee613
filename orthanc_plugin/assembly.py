"""Putting the service together: every part made once, from the settings, and handed to those that need it."""

import math
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, ProcessCollector

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.copies.outbox import Dispatcher, Outbox
from orthanc_plugin.domain.errors import ServiceStopping, WorkerStartError
from orthanc_plugin.intake.intake import Intake, Timing, Wish
from orthanc_plugin.intake.late_priors import LatePriors
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace, Patience
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.service_log import StudyNames
from orthanc_plugin.site.settings import GIB, ServiceSettings
from orthanc_plugin.upkeep.alarms import Alarms
from orthanc_plugin.upkeep.metrics import ServiceMetrics, StageMetrics
from orthanc_plugin.upkeep.retention import Retention
from orthanc_plugin.web.application import build_application
from orthanc_plugin.work.attempts import Attempts
from orthanc_plugin.work.encoding import Encoding
from orthanc_plugin.work.engine import DurableEngine
from orthanc_plugin.work.hosts import Heartbeats, Watchdog
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.other_archive import OtherArchive
from orthanc_plugin.work.priors import Priors
from orthanc_plugin.work.work_beside import PRIORITY, WorkBeside
from orthanc_plugin.work.workflow import StudyWorkflow

WARM_UP_SECONDS = 1.0
INTAKE_PATIENCE_SECONDS = 5.0
STRAY_SOURCE_SECONDS = 3600.0
"""Age at which source files go that an attempt left which lost its lease or its host; others go with the study's
end."""

_log = structlog.get_logger("curia.service")

Wishes = queue.SimpleQueue[Wish]


@dataclass(frozen=True, slots=True)
class Parts:
    """What is started and stopped. threads : by name, each to run until the service stops; the intake is the last."""

    engine: DurableEngine
    watchdog: Watchdog
    intake: Intake
    web: FastAPI
    threads: tuple[tuple[str, Callable[[], object]], ...]


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything else stands on."""

    settings: ServiceSettings
    stop: threading.Event
    ledger: Ledger
    workers: WorkerPool
    client: OrthancClient
    archive_faults: RecentFaults
    space: FreeSpace
    priors: Priors
    features: KeptFeatures
    registry: CollectorRegistry
    wishes: Wishes


def assemble(settings: ServiceSettings, *, stop: threading.Event, closing: ExitStack) -> Parts:
    """*closing* ends what was made, in turn."""
    base = _build_base(settings, stop, closing)
    engine = _build_engine(base, closing)
    intake = _build_intake(base, engine)
    watchdog = Watchdog(
        Heartbeats(base.ledger.database),
        executor_id=settings.resolved_executor_id,
        take_over_seconds=settings.take_over_seconds,
        take_over=engine.take_over,
        stop=stop,
    )
    alarms = Alarms(
        base.ledger.figures,
        is_in_contact=lambda: intake.is_in_contact,
        archive_faults=base.archive_faults,
        workers=base.workers,
        space=base.space,
        watchdog=watchdog,
        overdue_seconds=settings.overdue_seconds,
    )
    _register_metrics(base, alarms)
    encoding = Encoding(
        base.features,
        client=base.client,
        priors=base.priors,
        jobs=base.ledger.jobs,
        workers=base.workers,
        folder=settings.data_folder / "encoding",
        stop=stop,
    )
    web = build_application(
        token=None if settings.token is None else settings.token.get_secret_value(),
        roles=settings.roles,
        ledger=base.ledger,
        intake=intake,
        workers=base.workers,
        encoding=encoding,
        beside=WorkBeside(base.ledger.jobs, base.workers, begin=partial(engine.ensure, priority=PRIORITY)),
        alarms=alarms,
        registry=base.registry,
        viewer_url=settings.viewer_url,
    )
    last = (
        ("encoding", encoding.run),
        ("alarms", partial(alarms.run, stop)),
        ("watchdog", watchdog.run),
        ("intake", intake.run),
    )
    return Parts(engine, watchdog, intake, web, (*_side_threads(base), *last))


def _build_intake(base: _Base, engine: DurableEngine) -> Intake:
    settings = base.settings
    return Intake(
        Timing(
            quiet_seconds=settings.quiet_seconds,
            incomplete_seconds=settings.incomplete_seconds,
            poll_seconds=settings.poll_seconds,
            sweep_seconds=settings.sweep_seconds,
            backlog_days=settings.backlog_days,
        ),
        rules=settings.rules,
        reader=settings.resolved_executor_id,
        client=base.client,
        ledger=base.ledger,
        engine=engine,
        workers=base.workers,
        wishes=base.wishes,
        late_priors=LatePriors(base.client, base.priors) if settings.priors and settings.late_priors else None,
        stop=base.stop,
    )


def _register_metrics(base: _Base, alarms: Alarms) -> None:
    metrics = ServiceMetrics(
        base.ledger.figures,
        outbox=Outbox(base.ledger.database),
        workers=base.workers,
        space=base.space,
        alarms=alarms.states,
        overdue_seconds=alarms.overdue_seconds,
    )
    base.registry.register(metrics)
    ProcessCollector(registry=base.registry)


def _build_base(settings: ServiceSettings, stop: threading.Event, closing: ExitStack) -> _Base:
    ledger = Ledger.open(settings.resolved_database_url)
    closing.callback(ledger.close)
    workers = _build_workers(settings, stop)
    closing.callback(workers.close)
    faults = RecentFaults()
    client = OrthancClient(settings.orthanc_access, patience_seconds=INTAKE_PATIENCE_SECONDS, stop=stop, faults=faults)
    closing.callback(client.close)
    space = FreeSpace(settings.data_folder, least_bytes=int(settings.min_free_gib * GIB))
    priors = Priors(
        client,
        count=settings.priors,
        seconds=settings.prior_seconds,
        across_modalities=settings.priors_across_modalities,
        archive=_prior_archive(settings, client, ledger),
        is_asked_for="priors" in settings.model_fields_set,
    )
    features = KeptFeatures(settings.data_folder / "features", limit_bytes=settings.keep_features_gib * GIB)
    return _Base(
        settings, stop, ledger, workers, client, faults, space, priors, features, CollectorRegistry(), Wishes()
    )


def _prior_archive(settings: ServiceSettings, client: OrthancClient, ledger: Ledger) -> OtherArchive | None:
    if settings.prior_archive is None:
        return None
    return OtherArchive(client, settings.prior_archive, ledger.studies.note_brought)


def _build_workers(settings: ServiceSettings, stop: threading.Event) -> WorkerPool:
    workers = [
        Worker(
            settings.full_worker_command(device),
            ready_seconds=settings.worker_ready_seconds,
            deadline_seconds=settings.worker_deadline_seconds,
            max_resident_bytes=settings.worker_memory_gib * GIB,
            stop=stop,
        )
        for device in settings.devices
    ]
    return WorkerPool(workers, stop=stop)


def _build_engine(base: _Base, closing: ExitStack) -> DurableEngine:
    settings, metrics = base.settings, StageMetrics(base.registry, base.ledger.jobs)
    patience = Patience(base.space, base.stop)
    workflow = _build_workflow(base, closing)
    workflow.remove_leftovers()
    engine = DurableEngine(
        database_url=settings.resolved_database_url,
        executor_id=settings.resolved_executor_id,
        attempt=Attempts(base.ledger.jobs, patience, stop=base.stop).attempt,
        steps=[(name, patience.wrap(name, metrics.observed(name, step))) for name, step in workflow.steps],
        # One more than there are workers: the next study is fetched while the others run.
        concurrency=len(settings.devices) + 1,
    )
    closing.callback(engine.stop)
    return engine


def _build_workflow(base: _Base, closing: ExitStack) -> StudyWorkflow:
    settings = base.settings
    client = OrthancClient(
        settings.orthanc_access,
        patience_seconds=settings.archive_patience_seconds,
        stop=base.stop,
        faults=base.archive_faults,
    )
    closing.callback(client.close)
    return StudyWorkflow(
        client=client,
        priors=base.priors,
        jobs=base.ledger.jobs,
        workers=base.workers,
        data_folder=settings.data_folder,
        features=base.features,
        names=StudyNames(settings.data_folder / "log.key", plain=settings.log_study_uids),
        destinations=settings.destinations,
        look_again=lambda study_id: base.wishes.put(Wish(study_id)),
        stop=base.stop,
    )


def _side_threads(base: _Base) -> Iterator[tuple[str, Callable[[], object]]]:
    """What goes on beside the studies' way through the service."""
    for number, worker in enumerate(base.workers.workers):
        yield f"warm-up-{number}", partial(_keep_warm, worker, base.stop)
    yield from _dispatchers(base)
    settings = base.settings
    kept = {
        # seconds and bytes
        "results": (settings.keep_results_days * 86400, settings.keep_results_gib * GIB),
        "features": (settings.keep_features_days * 86400, settings.keep_features_gib * GIB),
        "source": (STRAY_SOURCE_SECONDS, math.inf),
    }
    for name, (seconds, size) in kept.items():
        retention = Retention(
            settings.data_folder / name, max_age_seconds=seconds, max_bytes=size, is_ended=base.ledger.jobs.is_ended
        )
        yield f"retention-{name}", partial(retention.run, base.stop, settings.sweep_seconds)


def _dispatchers(base: _Base) -> Iterator[tuple[str, Callable[[], object]]]:
    for destination in base.settings.destinations:
        dispatcher = Dispatcher(
            Outbox(base.ledger.database),
            destination,
            client=base.client,
            retry_seconds=base.settings.retry_seconds,
            poll_seconds=base.settings.poll_seconds,
            stop=base.stop,
        )
        yield f"dispatcher-{destination.name}", dispatcher.run


def _keep_warm(worker: Worker, stop: threading.Event) -> None:
    """Have a worker up before the first study comes, and again after it was lost."""
    failures = 0
    while not stop.is_set():
        try:
            worker.start()
            failures = 0
        except WorkerStartError as error:
            failures += 1
            _log.error("pipeline down", reason=str(error), failures=failures)
        except ServiceStopping:
            return
        stop.wait(min(60.0, WARM_UP_SECONDS * 2**failures))
