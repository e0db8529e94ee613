"""One go at a piece of work: the right to it, and the count of those goes from which nobody came back.

A study can take the whole service down, by eating the machine's memory for one. It looks like any other host that
died, so its work is begun again, here or elsewhere, and takes that down too. Hence starts are counted, and taken
back when they end in whatever orderly way. The last start that a study gets it gets alone, so that the studies that
happened to be under way beside it are not set aside with it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from orthanc_plugin.domain.errors import HostCrashError, ServiceStopping
from orthanc_plugin.ledger.ledger import Job, Ledger
from orthanc_plugin.ledger.local_faults import Patience, tolerated

MAX_HOST_CRASHES = 3
_TICK_SECONDS = 0.1

Attempt = Callable[[str], AbstractContextManager[int]]


class Attempts:
    """The goes that are under way on this host.

    stop : set when the service goes down; a wait then ends in ``ServiceStopping``
    """

    def __init__(self, ledger: Ledger, patience: Patience, *, stop: threading.Event) -> None:
        self._ledger = ledger
        self._patience = patience
        self._gate = Gate(stop)

    @contextmanager
    def attempt(self, work_id: str) -> Iterator[int]:
        """Take the work into hand; gives the number of the hold, which later writes have to name."""
        job = self._patience.wrap("take", self._ledger.take)(work_id)
        with self._gate.passed(alone=job.open_starts >= MAX_HOST_CRASHES - 1):
            # Not before the gate: a study that waits has no part in the death of the host.
            self._patience.wrap("begin", self._ledger.begin)(job)
            try:
                yield job.hold
            finally:
                with tolerated("the end of a go"):
                    self._ledger.leave(job)


def refuse_deadly(job: Job) -> None:
    """``HostCrashError`` when too many goes before the one under way never ended."""
    crashes = job.open_starts - 1
    if crashes >= MAX_HOST_CRASHES:
        raise HostCrashError(f"the service died {crashes} times while it worked on this study")


class Gate:
    """Lets in many at a time, or one alone, who goes before those who come later."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._inside = 0
        # Who is alone, inside or waiting for it.
        self._alone: list[object] = []

    @contextmanager
    def passed(self, *, alone: bool) -> Iterator[None]:
        self._enter(object() if alone else None)
        try:
            yield
        finally:
            self._leave(alone=alone)

    def _enter(self, loner: object | None) -> None:
        with self._changed:
            if loner is not None:
                self._alone.append(loner)
            while not self._may_enter(loner):
                self._changed.wait(_TICK_SECONDS)
                if self._stop.is_set():
                    raise ServiceStopping
            self._inside += 1

    def _may_enter(self, loner: object | None) -> bool:
        if loner is None:
            return not self._alone
        return self._alone[0] is loner and self._inside == 0

    def _leave(self, *, alone: bool) -> None:
        with self._changed:
            self._inside -= 1
            if alone:
                self._alone.pop(0)
            self._changed.notify_all()
