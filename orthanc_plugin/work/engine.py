"""The durable engine: DBOS, kept behind a few verbs.

It remembers which steps of which work are done, takes up after a crash what was going on, and lets as much work
through at a time as there are workers. The work's identity is the workflow's id, so that the same work twice is one
workflow.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetEnqueueOptions, SetWorkflowID

from orthanc_plugin.domain.states import State
from orthanc_plugin.work.attempts import Attempt

QUEUE = "studies"
STEPS_VERSION = "1"
"""Work is only taken up again by the version that began it, so this changes when the steps change, and only then."""
POLL_SECONDS = 0.25
BEGIN_SECONDS = 5.0
"""By then a thread has started on whatever was taken from the queue, even on a busy machine."""
SPARE_CONNECTIONS = 6
"""Connections to the database, beside one for each piece of work: each keeps some MiB of an SQLite file in memory."""
LOST = frozenset({"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
ENDED = LOST | {"SUCCESS"}

Step = Callable[[str, int], str]


class DurableEngine:
    """Runs *steps*, pairs of name and function, on each work id until one of them answers a final state.

    attempt : surrounds each attempt at a piece of work, and gives the number of its lease, which the steps are handed
    concurrency : how many pieces of work may be under way here at a time
    """

    def __init__(
        self,
        *,
        database_url: str,
        executor_id: str,
        attempt: Attempt,
        steps: Sequence[tuple[str, Step]],
        concurrency: int,
    ) -> None:
        self._executor_id = executor_id
        self._concurrency = concurrency
        self._under_way: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._idle_since: dict[str, float] = {}
        config: DBOSConfig = {
            "name": "curia-pacs",
            "system_database_url": database_url,
            "application_version": STEPS_VERSION,
            "executor_id": executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "sys_db_pool_size": concurrency + SPARE_CONNECTIONS,
        }
        DBOS(config=config)

        @DBOS.workflow(name="process_study")
        def process_study(work_id: str) -> str:
            state = State.QUEUED.value
            with self._counted(work_id), attempt(work_id) as lease:
                for name, step in steps:
                    state = DBOS.run_step({"name": name}, step, work_id, lease)
                    if State(state).is_final:
                        break
            return state

        self._process_study = process_study

    def start(self) -> None:
        """Take up what was going on when the last process ended, and listen to the queue."""
        DBOS.launch()
        # Global concurrency would count the work of a dead host and stand still until somebody took it over.
        DBOS.register_queue(QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=POLL_SECONDS)

    def ensure(self, work_id: str, *, priority: int) -> None:
        """Have the steps gone through: new work is queued, ended work begun again, the rest left alone.

        Work that counts as begun here, and that no attempt here is at, goes back into the queue: a host that was
        thought dead took the lease in the moment of the hand-over, and may not end it.

        priority : 1 goes first; among equals, what was queued first
        """
        status = DBOS.get_workflow_status(work_id)
        if status is None:
            with SetWorkflowID(work_id), SetEnqueueOptions(priority=priority):
                DBOS.enqueue_workflow(QUEUE, self._process_study, work_id)
        elif status.status in ENDED:
            DBOS.rewind_workflow(work_id, queue_name=QUEUE)
        elif self._is_abandoned(work_id, (status.status, status.executor_id)):
            del self._idle_since[work_id]
            DBOS.resume_workflow(work_id, queue_name=QUEUE)

    def is_lost(self, work_id: str) -> bool:
        """Whether the work ended in a way that the steps did not foresee."""
        status = DBOS.get_workflow_status(work_id)
        return status is not None and status.status in LOST

    def take_over(self, executor_id: str) -> int:
        """Put a dead host's work back into the queue, its finished steps kept; gives the number of pieces."""
        begun = DBOS.list_workflows(status="PENDING", executor_id=executor_id, load_input=False, load_output=False)
        for status in begun:
            DBOS.resume_workflow(status.workflow_id, queue_name=QUEUE)
        return len(begun)

    def stop(self) -> None:
        DBOS.destroy()

    def _is_abandoned(self, work_id: str, status: tuple[str, str | None]) -> bool:
        """Whether no attempt has been at work that counts as begun here for longer than it takes to begin it."""
        if status != ("PENDING", self._executor_id) or self._under_way[work_id]:
            self._idle_since.pop(work_id, None)
            return False
        return time.monotonic() - self._idle_since.setdefault(work_id, time.monotonic()) >= BEGIN_SECONDS

    @contextmanager
    def _counted(self, work_id: str) -> Iterator[None]:
        self._count(work_id, 1)
        try:
            yield
        finally:
            self._count(work_id, -1)

    def _count(self, work_id: str, change: int) -> None:
        with self._counting:
            self._under_way[work_id] += change
            if not self._under_way[work_id]:
                del self._under_way[work_id]
