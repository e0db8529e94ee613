"""What stands in the way of work, and what somebody must look at."""

import threading
import time
from collections.abc import Callable

import structlog

from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.domain.errors import ArchiveDeniedError, ArchiveNotUnderstoodError, StudyCollisionError
from orthanc_plugin.ledger.figures import Figures
from orthanc_plugin.ledger.local_faults import FreeSpace, is_local_fault, tolerated
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.work.hosts import Watchdog

LOOK_SECONDS = 60.0
ORTHANC_OUT_OF_REACH = "orthanc-out-of-reach"
PIPELINE_DOWN = "pipeline-down"
DISK_FULL = "disk-full"
DATABASE_OUT_OF_REACH = "database-out-of-reach"
RESULT_OVERDUE = "result-overdue"

_log = structlog.get_logger("curia.alarms")


class Alarms:
    """Every alarm there is.

    Hindrances keep all work from going on. Alarms of studies are no reason for whoever watches services to take this
    one out of use.

    is_in_contact : whether Orthanc was heard of late
    archive_faults : what was wrong with its answers
    overdue_seconds : how long a study may be at rest without an outcome
    """

    HINDRANCES = (ORTHANC_OUT_OF_REACH, PIPELINE_DOWN, DISK_FULL, DATABASE_OUT_OF_REACH)

    def __init__(
        self,
        figures: Figures,
        *,
        is_in_contact: Callable[[], bool],
        archive_faults: RecentFaults,
        workers: WorkerPool,
        space: FreeSpace,
        watchdog: Watchdog,
        overdue_seconds: float,
    ) -> None:
        self._figures = figures
        self._is_in_contact = is_in_contact
        self._archive_faults = archive_faults
        self._workers = workers
        self._space = space
        self._watchdog = watchdog
        self.overdue_seconds = overdue_seconds

    def run(self, stop: threading.Event) -> None:
        """Name studies without a result in the log for as long as there are any, until the service stops."""
        while not stop.wait(min(LOOK_SECONDS, self.overdue_seconds)):
            with tolerated("alarms"):
                self._report_overdue()

    def states(self) -> dict[str, bool]:
        """Every alarm, and whether it is on."""
        return self._hindrances() | self._of_answers() | self._of_studies()

    def _hindrances(self) -> dict[str, bool]:
        return {
            ORTHANC_OUT_OF_REACH: not self._is_in_contact(),
            PIPELINE_DOWN: self._workers.identity is None,
            DISK_FULL: self._space.is_low,
            DATABASE_OUT_OF_REACH: not self._watchdog.is_beating,
        }

    def _of_answers(self) -> dict[str, bool]:
        codes = (ArchiveNotUnderstoodError.code, ArchiveDeniedError.code)
        return {code: self._archive_faults.has(code) for code in codes}

    def _of_studies(self) -> dict[str, bool]:
        try:
            return {
                RESULT_OVERDUE: bool(self._figures.overdue(self.overdue_seconds)),
                StudyCollisionError.code: self._figures.count_studies_failed_as(StudyCollisionError.code) > 0,
            }
        except Exception as error:
            if not is_local_fault(error):
                raise
            # It need not have missed a heartbeat yet.
            return {DATABASE_OUT_OF_REACH: True}

    def _report_overdue(self) -> None:
        if overdue := self._figures.overdue(self.overdue_seconds):
            age = round(time.time() - overdue[0].since)
            _log.error("studies without result", code=RESULT_OVERDUE, studies=len(overdue), oldest_seconds=age)
