"""Studies that somebody must look at: those at rest without an outcome, and those that two patients share."""

import threading
import time
from collections.abc import Iterator

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from orthanc_plugin.copies.outbox import Outbox
from orthanc_plugin.domain.errors import StudyCollisionError
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import tolerated

LOOK_SECONDS = 60.0
RESULT_OVERDUE = "result-overdue"

_log = structlog.get_logger("curia.alarms")


class Alarms(Collector):
    """seconds : how long a study may be at rest without an outcome."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger = ledger
        self._outbox = Outbox(ledger.database)
        self._seconds = seconds

    def run(self, stop: threading.Event) -> None:
        """Say it in the log for as long as it is so, until the service stops."""
        while not stop.wait(min(LOOK_SECONDS, self._seconds)):
            with tolerated("alarms"):
                self._report()

    def states(self) -> dict[str, bool]:
        """Every alarm of studies, and whether it is on."""
        return {
            RESULT_OVERDUE: bool(self._ledger.overdue(self._seconds)),
            StudyCollisionError.code: self._ledger.count_studies_failed_as(StudyCollisionError.code) > 0,
        }

    def collect(self) -> Iterator[Metric]:
        with tolerated("metrics"):
            overdue = len(self._ledger.overdue(self._seconds))
            yield GaugeMetricFamily("curia_overdue_studies", "Studies at rest for too long without an outcome", overdue)
            pending = GaugeMetricFamily("curia_pending_deliveries", "Objects still to be sent", labels=["destination"])
            for destination, count in self._outbox.count_pending().items():
                pending.add_metric([destination], count)
            yield pending

    def _report(self) -> None:
        if overdue := self._ledger.overdue(self._seconds):
            age = round(time.time() - overdue[0].since)
            _log.error("studies without result", code=RESULT_OVERDUE, studies=len(overdue), oldest_seconds=age)
