"""The warm pipeline processes of this host, one for each device: a study takes whichever is free."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orthanc_plugin.domain.errors import ServiceStopping, WorkersBusyError, WorkerStartError
from orthanc_plugin.pipeline.protocol import Greeting, Reply, Request
from orthanc_plugin.pipeline.worker import Worker

_TICK_SECONDS = 0.1


class WorkerPool:
    """Hands studies to workers that are up; whoever keeps the workers warm brings the others back.

    stop : set when the service goes down; every wait then ends in ``ServiceStopping``
    """

    def __init__(self, workers: Sequence[Worker], *, stop: threading.Event) -> None:
        self.workers = tuple(workers)
        # The one that waited longest is taken first, so a study that failed on one device is tried on another.
        self._free = list(workers)
        self._changed = threading.Condition()
        self._stop = stop

    @property
    def identity(self) -> Greeting | None:
        """What a ready process greeted with; None where none is ready. All of them run the same pipeline."""
        return next((worker.identity for worker in self.workers if worker.identity is not None), None)

    @property
    def trouble(self) -> str | None:
        """Why a worker does not come up, if one does not."""
        return next((worker.trouble for worker in self.workers if worker.trouble is not None), None)

    def wait_ready(self) -> Greeting:
        """Wait until a process is up."""
        while (identity := self.identity) is None:
            if self._stop.wait(_TICK_SECONDS):
                raise ServiceStopping
        return identity

    def ask(self, request: Request, *, patience_seconds: float = math.inf) -> Reply:
        """The answer of whichever worker is free.

        Raises
        ------
        WorkerCrashError
            The process died or overran on it.
        WorkersBusyError
            None was free within *patience_seconds*.
        """
        until = time.monotonic() + patience_seconds
        while True:
            with self._free_worker(until) as worker:
                try:
                    return worker.ask(request)
                except WorkerStartError:
                    # It died while it was idle and does not come back: no study is to blame.
                    continue

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    @contextmanager
    def _free_worker(self, until: float) -> Iterator[Worker]:
        worker = self._take(until)
        try:
            yield worker
        finally:
            with self._changed:
                self._free.append(worker)
                self._changed.notify()

    def _take(self, until: float) -> Worker:
        with self._changed:
            while not (ready := [worker for worker in self._free if worker.identity is not None]):
                if self._stop.is_set():
                    raise ServiceStopping
                if time.monotonic() > until:
                    raise WorkersBusyError("every worker is reading a study; ask again in a moment")
                self._changed.wait(_TICK_SECONDS)
            self._free.remove(ready[0])
            return ready[0]
