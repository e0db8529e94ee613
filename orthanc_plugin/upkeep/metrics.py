"""Figures for Prometheus that are read at the moment of asking: from the ledger, the workers and the disk."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace, tolerated
from orthanc_plugin.pipeline.worker_pool import WorkerPool


class ServiceMetrics(Collector):
    """A collector without a memory, so a restart loses nothing.

    alarms : gives every alarm there is, and whether it is on
    """

    def __init__(
        self, ledger: Ledger, workers: WorkerPool, *, space: FreeSpace, alarms: Callable[[], Mapping[str, bool]]
    ) -> None:
        self._ledger = ledger
        self._workers = workers
        self._space = space
        self._alarms = alarms

    def collect(self) -> Iterator[Metric]:
        with tolerated("metrics"):
            yield from self._work()
        yield from self._of_workers()
        yield GaugeMetricFamily("curia_data_free_bytes", "Room left in the data folder", value=self._space.bytes)
        alarms = self._alarms().items()
        yield _gauges("curia_alarm", "1 while the alarm is on", "alarm", alarms)

    def _work(self) -> Iterator[Metric]:
        counts = self._ledger.count_by_state()
        states = [(state.value, counts.get(state.value, 0)) for state in State if state is not State.WAITING]
        yield _gauges("curia_work", "Pieces of work by state", "state", states)
        failures = self._ledger.count_failures_by_code()
        yield _gauges("curia_failures", "Failed work by reason", "code", failures.items())
        oldest = self._ledger.oldest_queued_at()
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("curia_oldest_queued_seconds", "Age of the oldest queued work", value=age)

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
