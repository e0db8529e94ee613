"""Figures for Prometheus, read from the ledger at the moment of asking."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from orthanc_plugin.ledger import Ledger
from orthanc_plugin.states import State
from orthanc_plugin.worker import Worker


class ServiceMetrics:
    """A Prometheus collector; nothing is counted in memory, so a restart loses nothing."""

    def __init__(self, ledger: Ledger, worker: Worker) -> None:
        self._ledger = ledger
        self._worker = worker
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        counts = self._ledger.count_by_state()
        studies = GaugeMetricFamily("curia_work", "Pieces of work by state", labels=["state"])
        for state in State:
            if state is not State.WAITING:
                studies.add_metric([state.value], counts.get(state.value, 0))
        yield studies
        oldest = self._ledger.oldest_queued_at()
        age = 0.0 if oldest is None else time.time() - oldest
        yield GaugeMetricFamily("curia_oldest_queued_seconds", "Age of the oldest queued work", value=age)
        ready = float(self._worker.identity is not None)
        yield GaugeMetricFamily("curia_pipeline_ready", "Whether a warm pipeline is up", value=ready)
