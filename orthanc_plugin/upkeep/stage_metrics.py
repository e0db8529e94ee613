"""What the service counts while it runs: seconds of every stage, and how work ended.

A restart begins at zero, which Prometheus expects of counters; what must outlive one stands in the ledger.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Job, Ledger
from orthanc_plugin.work.engine import Step

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
# Beside the workflow's own steps, which are stages too.
QUEUE, STABLE_TO_END = "queue", "stable_to_end"


class StageMetrics:
    """Wraps the workflow's steps; a step that is cut off by the end of the service is not counted."""

    def __init__(self, registry: CollectorRegistry, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seconds = Histogram(
            "curia_stage_seconds", "Seconds of each stage", ["stage"], buckets=BUCKETS, registry=registry
        )
        self._ended = Counter("curia_ended", "Pieces of work that ended, by state", ["state"], registry=registry)
        for state in State:
            if state.is_final:
                self._ended.labels(state.value)

    def observed(self, name: str, step: Step) -> Step:
        """*step*, its seconds counted under *name*."""

        def observed(work_id: str, hold: int) -> str:
            started = time.monotonic()
            state = step(work_id, hold)
            self._seconds.labels(name).observe(time.monotonic() - started)
            if State(state).is_final:
                self._observe_end(self._ledger.job(work_id))
            return state

        return observed

    def _observe_end(self, job: Job) -> None:
        self._ended.labels(job.state.value).inc()
        if job.started_at is not None:
            self._seconds.labels(QUEUE).observe(max(0.0, job.started_at - job.queued_at))
        if job.finished_at is not None:
            self._seconds.labels(STABLE_TO_END).observe(max(0.0, job.finished_at - job.stable_at))
