"""An attempt at a piece of work: the lease on it, and the count of those attempts that never ended.

A study can take the whole host down, by eating the machine's memory for one. Such a host looks like any that died, so
another takes the study up and dies too. Each start is therefore counted, and uncounted when the attempt ends in an
orderly way. A study's last permitted attempt runs alone, so that it cannot take others down with it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from orthanc_plugin.domain.errors import HostCrashError, ServiceStopping
from orthanc_plugin.ledger.jobs import Job, Jobs
from orthanc_plugin.ledger.local_faults import Patience, tolerated

MAX_HOST_CRASHES = 3
_TICK_SECONDS = 0.1

Attempt = Callable[[str], AbstractContextManager[int]]


class Attempts:
    """The attempts that are under way on this host.

    stop : set when the service goes down; a wait then ends in ``ServiceStopping``
    """

    def __init__(self, jobs: Jobs, patience: Patience, *, stop: threading.Event) -> None:
        self._jobs = jobs
        self._patience = patience
        self._gate = Gate(stop)

    @contextmanager
    def attempt(self, work_id: str) -> Iterator[int]:
        """Take the lease on the work; gives its number, which later writes have to name."""
        job = self._patience.wrap("lease", self._jobs.take_lease)(work_id)
        with self._gate.passed(exclusive=job.open_starts >= MAX_HOST_CRASHES - 1):
            # Not before the gate: a study that waits has no part in the death of the host.
            self._patience.wrap("begin", self._jobs.begin_attempt)(job)
            try:
                yield job.lease
            finally:
                with tolerated("the end of an attempt"):
                    self._jobs.end_attempt(job)


def refuse_deadly(job: Job) -> None:
    """``HostCrashError`` when too many attempts before the one under way never ended."""
    crashes = job.open_starts - 1
    if crashes >= MAX_HOST_CRASHES:
        raise HostCrashError(f"the service died {crashes} times while it worked on this study")


class Gate:
    """Lets in many attempts at a time, or an exclusive one, which goes before those that come later."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._inside = 0
        # Inside, or waiting to be alone there.
        self._exclusive: list[object] = []

    @contextmanager
    def passed(self, *, exclusive: bool) -> Iterator[None]:
        self._enter(object() if exclusive else None)
        try:
            yield
        finally:
            self._leave(exclusive=exclusive)

    def _enter(self, exclusive: object | None) -> None:
        with self._changed:
            if exclusive is not None:
                self._exclusive.append(exclusive)
            while not self._may_enter(exclusive):
                self._changed.wait(_TICK_SECONDS)
                if self._stop.is_set():
                    raise ServiceStopping
            self._inside += 1

    def _may_enter(self, exclusive: object | None) -> bool:
        if exclusive is None:
            return not self._exclusive
        return self._exclusive[0] is exclusive and self._inside == 0

    def _leave(self, *, exclusive: bool) -> None:
        with self._changed:
            self._inside -= 1
            if exclusive:
                self._exclusive.pop(0)
            self._changed.notify_all()
