"""Putting the service together, and its life from start to stop."""

import fcntl
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from orthanc_plugin.alarms import Alarms
from orthanc_plugin.engine import DurableEngine, Step
from orthanc_plugin.errors import ServiceStopping, SettingsError, WorkerStartError
from orthanc_plugin.hosts import Heartbeats, Watchdog
from orthanc_plugin.intake import Intake, Wish
from orthanc_plugin.ledger import Ledger
from orthanc_plugin.local_trouble import FreeSpace, patient
from orthanc_plugin.orthanc_client import OrthancClient
from orthanc_plugin.outbox import Dispatcher, Outbox
from orthanc_plugin.retention import Retention
from orthanc_plugin.service_log import StudyNames
from orthanc_plugin.settings import GIB, ServiceSettings
from orthanc_plugin.stage_metrics import StageMetrics
from orthanc_plugin.web.application import build_application
from orthanc_plugin.worker import Worker
from orthanc_plugin.worker_pool import WorkerPool
from orthanc_plugin.workflow import StudyWorkflow

# A predecessor that was told to stop may still be ending its worker.
LOCK_SECONDS = 20.0
WARM_UP_SECONDS = 1.0
JOIN_SECONDS = 10.0

_log = structlog.get_logger("curia.service")


def serve(settings: ServiceSettings) -> None:
    """Run until SIGTERM, SIGINT or, when the plugin started us, the end of standard input."""
    stop = threading.Event()
    _stop_on_signals(stop)
    if settings.stop_with_stdin:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), name="stdin", daemon=True).start()
    with _only_one(settings.data_folder, stop), _listening_socket(settings) as listener, ExitStack() as closing:
        if stop.is_set():
            return
        ledger = Ledger(settings.resolved_database_url)
        closing.callback(ledger.close)
        alarms = Alarms(ledger, settings.overdue_seconds)
        pool = _build_pool(settings, stop)
        closing.callback(pool.close)
        registry = CollectorRegistry()
        registry.register(alarms)
        space = FreeSpace(settings.data_folder, least_bytes=int(settings.min_free_gib * GIB))
        guards = _StepGuards(StageMetrics(registry, ledger), space, stop)
        wishes: queue.SimpleQueue[Wish] = queue.SimpleQueue()
        engine = _build_engine(
            settings, ledger=ledger, pool=pool, guards=guards, wishes=wishes, stop=stop, closing=closing
        )
        client = OrthancClient(settings, patience_seconds=5.0, stop=stop)
        closing.callback(client.close)
        intake = Intake(settings, client=client, ledger=ledger, engine=engine, worker=pool, wishes=wishes, stop=stop)
        web = build_application(
            settings, ledger=ledger, intake=intake, worker=pool, space=space, alarms=alarms, registry=registry
        )
        watchdog = _build_watchdog(settings, ledger=ledger, engine=engine, stop=stop)
        # Before anything of ours runs, so that no other host takes what is being taken up here.
        watchdog.look(time.monotonic())
        engine.start()
        for name, run in _side_threads(settings, ledger=ledger, pool=pool, client=client, stop=stop):
            closing.enter_context(_running(name, stop, run))
        closing.enter_context(_running("alarms", stop, alarms.run, stop))
        closing.enter_context(_running("watchdog", stop, watchdog.run))
        closing.enter_context(_running("intake", stop, intake.run))
        # Wakes the intake up, so that it need not sleep to its next look before it can end.
        closing.callback(intake.nudge)
        closing.enter_context(_serving(web, listener, stop))
        _log.info("started", listen=settings.listen)
        stop.wait()
        _log.info("stopping")
    _log.info("stopped")


def _side_threads(
    settings: ServiceSettings, *, ledger: Ledger, pool: WorkerPool, client: OrthancClient, stop: threading.Event
) -> Iterator[tuple[str, Callable[[], None]]]:
    """What goes on beside the studies' way through the service, by name."""
    for number, worker in enumerate(pool.workers):
        yield f"warm-up-{number}", partial(_keep_warm, worker, stop)
    for destination, dispatcher in _build_dispatchers(settings, ledger=ledger, client=client, stop=stop).items():
        yield f"dispatcher-{destination}", dispatcher.run
    yield "retention", partial(_build_retention(settings, ledger).run, stop, settings.sweep_seconds)


def _build_pool(settings: ServiceSettings, stop: threading.Event) -> WorkerPool:
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


def _build_retention(settings: ServiceSettings, ledger: Ledger) -> Retention:
    return Retention(
        settings.data_folder / "results",
        max_age_seconds=settings.keep_results_days * 86400,
        max_bytes=int(settings.keep_results_gib * GIB),
        is_ended=ledger.is_ended,
    )


@dataclass(frozen=True, slots=True)
class _StepGuards:
    """What every step of the workflow is wrapped in."""

    metrics: StageMetrics
    space: FreeSpace
    stop: threading.Event

    def wrap(self, steps: Iterable[tuple[str, Step]]) -> tuple[tuple[str, Step], ...]:
        return tuple(
            (name, patient(name, self.metrics.observed(name, step), self.space, self.stop)) for name, step in steps
        )


def _build_engine(
    settings: ServiceSettings,
    *,
    ledger: Ledger,
    pool: WorkerPool,
    guards: _StepGuards,
    wishes: "queue.SimpleQueue[Wish]",
    stop: threading.Event,
    closing: ExitStack,
) -> DurableEngine:
    client = OrthancClient(settings, patience_seconds=settings.archive_patience_seconds, stop=stop)
    closing.callback(client.close)
    workflow = StudyWorkflow(
        client=client,
        ledger=ledger,
        worker=pool,
        data_folder=settings.data_folder,
        names=StudyNames(settings.data_folder / "log.key", plain=settings.log_study_uids),
        destinations=settings.destinations,
        look_again=lambda study_id: wishes.put(Wish(study_id)),
        stop=stop,
    )
    workflow.remove_leftovers()
    engine = DurableEngine(
        database_url=settings.resolved_database_url,
        executor_id=settings.resolved_executor_id,
        steps=guards.wrap(workflow.steps),
        # One more than there are workers: the next study is fetched while the others run.
        concurrency=len(settings.devices) + 1,
    )
    closing.callback(engine.stop)
    return engine


def _build_watchdog(
    settings: ServiceSettings, *, ledger: Ledger, engine: DurableEngine, stop: threading.Event
) -> Watchdog:
    return Watchdog(
        Heartbeats(ledger.database),
        executor_id=settings.resolved_executor_id,
        take_over_seconds=settings.take_over_seconds,
        take_over=engine.take_over,
        stop=stop,
    )


def _build_dispatchers(
    settings: ServiceSettings, *, ledger: Ledger, client: OrthancClient, stop: threading.Event
) -> dict[str, Dispatcher]:
    outbox = Outbox(ledger.database)
    return {
        destination.name: Dispatcher(
            outbox,
            destination,
            client=client,
            retry_seconds=settings.retry_seconds,
            poll_seconds=settings.poll_seconds,
            stop=stop,
        )
        for destination in settings.destinations
    }


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


@contextmanager
def _serving(web: FastAPI, listener: socket.socket, stop: threading.Event) -> Iterator[None]:
    # In a thread of its own, uvicorn leaves the signals alone; in the main thread it would raise them again.
    server = uvicorn.Server(uvicorn.Config(web, log_config=None, access_log=False, lifespan="off"))
    with _running("web", stop, server.run, [listener]):
        try:
            yield
        finally:
            server.should_exit = True


@contextmanager
def _running(name: str, stop: threading.Event, target: Callable[..., object], *arguments: object) -> Iterator[None]:
    """A thread for the time of the block; one that ends before it was told to takes the service down.

    Whoever watches the service starts it again, which is better than a service that is deaf in one ear.
    """

    def run() -> None:
        try:
            target(*arguments)
        finally:
            if not stop.is_set():
                _log.error("a thread ended early", thread=name)
            stop.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(JOIN_SECONDS)


@contextmanager
def _listening_socket(settings: ServiceSettings) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(f"listen: {settings.listen} cannot be used: {error.strerror}") from error
        yield listener


@contextmanager
def _only_one(data_folder: Path, stop: threading.Event) -> Iterator[None]:
    """Hold the data folder: two services on one would take one another's work for their own."""
    with (data_folder / "service.lock").open("w") as lock:
        for _ in range(int(LOCK_SECONDS / 0.2)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.2):
                    break
        else:
            raise SettingsError(f"data_folder: another service is running on {data_folder}")
        yield


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not sys.stdin's own buffer, whose lock this thread would hold while the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()
