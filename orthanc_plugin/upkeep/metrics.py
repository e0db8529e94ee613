"""Figures for Prometheus.

What the service counts while it runs begins at zero with it, which Prometheus expects of counters; what must outlive a
restart is read from the ledger, the workers and the disk at the moment of asking.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.figures import Figures
from orthanc_plugin.ledger.jobs import Job, Jobs
from orthanc_plugin.ledger.local_faults import FreeSpace, tolerated
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.work.engine import Step

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
QUEUE, STABLE_TO_END = "queue", "stable_to_end"
"""Stages beside the workflow's own steps."""


class StageMetrics:
    """Wraps the workflow's steps; a step that is cut off by the end of the service is not counted."""

    def __init__(self, registry: CollectorRegistry, jobs: Jobs) -> None:
        self._jobs = jobs
        self._seconds = Histogram(
            "curia_stage_seconds", "Seconds of each stage", ["stage"], buckets=BUCKETS, registry=registry
        )
        self._ended = Counter("curia_ended", "Pieces of work that ended, by state", ["state"], registry=registry)
        for state in State:
            if state.is_final:
                self._ended.labels(state.value)

    def observed(self, name: str, step: Step) -> Step:
        """*step*, its seconds counted under *name*."""

        def observed(work_id: str, lease: int) -> str:
            started = time.monotonic()
            state = step(work_id, lease)
            self._seconds.labels(name).observe(time.monotonic() - started)
            if State(state).is_final:
                self._observe_end(self._jobs.read(work_id))
            return state

        return observed

    def _observe_end(self, job: Job) -> None:
        self._ended.labels(job.state.value).inc()
        if job.started_at is not None:
            self._seconds.labels(QUEUE).observe(max(0.0, job.started_at - job.queued_at))
        if job.finished_at is not None:
            self._seconds.labels(STABLE_TO_END).observe(max(0.0, job.finished_at - job.stable_at))


class ServiceMetrics(Collector):
    """A collector without a memory, so a restart loses nothing.

    alarms : gives every alarm there is, and whether it is on
    overdue_seconds : how long a study may be at rest without an outcome
    """

    def __init__(
        self,
        figures: Figures,
        *,
        outbox: Outbox,
        workers: WorkerPool,
        space: FreeSpace,
        alarms: Callable[[], Mapping[str, bool]],
        overdue_seconds: float,
    ) -> None:
        self._figures = figures
        self._outbox = outbox
        self._workers = workers
        self._space = space
        self._alarms = alarms
        self._overdue_seconds = overdue_seconds

    def collect(self) -> Iterator[Metric]:
        with tolerated("metrics"):
            yield from self._work()
        yield from self._of_workers()
        yield GaugeMetricFamily("curia_data_free_bytes", "Room left in the data folder", value=self._space.bytes)
        yield _gauges("curia_alarm", "1 while the alarm is on", "alarm", self._alarms().items())

    def _work(self) -> Iterator[Metric]:
        counts = self._figures.count_by_state()
        states = [(state.value, counts.get(state.value, 0)) for state in State if state is not State.WAITING]
        yield _gauges("curia_work", "Pieces of work by state", "state", states)
        failures = self._figures.count_failures_by_code()
        yield _gauges("curia_failures", "Failed work by reason", "code", failures.items())
        oldest = self._figures.oldest_queued_at()
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("curia_oldest_queued_seconds", "Age of the oldest queued work", value=age)
        overdue = len(self._figures.overdue(self._overdue_seconds))
        yield GaugeMetricFamily("curia_overdue_studies", "Studies at rest for too long without an outcome", overdue)
        pending = self._outbox.count_pending().items()
        yield _gauges("curia_pending_deliveries", "Objects still to be sent", "destination", pending)

    def _of_workers(self) -> Iterator[Metric]:
        workers = [(str(number), worker) for number, worker in enumerate(self._workers.workers)]
        ready = [(name, worker.identity is not None) for name, worker in workers]
        yield _gauges("curia_worker_ready", "Whether the worker is up and warm", "worker", ready)
        resident = [(name, worker.resident_bytes or 0) for name, worker in workers]
        yield _gauges("curia_worker_resident_bytes", "Memory that the worker holds", "worker", resident)
        on_device = [(name, worker.device_bytes) for name, worker in workers if worker.device_bytes is not None]
        yield _gauges("curia_worker_device_bytes", "Most GPU memory that it reserved", "worker", on_device)
        starts = CounterMetricFamily("curia_worker_starts", "Processes started", labels=["worker"])
        for name, worker in workers:
            starts.add_metric([name], worker.starts)
        yield starts


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family
