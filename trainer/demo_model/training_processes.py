"""Trainings side by side: each is `python -m trainer pretrain` in a process of its own, on one thread.

Small models use cores better so than one after the other on all of them, and no weight depends on how many cores
there are.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from trainer.export.model_folder import to_toml
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.run import STOPPED

SETTINGS, LOG = "settings.toml", "log.txt"
LAST_WORDS = 2000
"""Characters of a failed training's log that are told."""

THREADS = 1


class StoppedError(Exception):
    """SIGTERM came; every training saved where it was."""


class FailedError(Exception):
    """A training ended with another exit code than 0."""


class TrainingProcesses:
    """Starts trainings, as many at a time as its pool has threads; the others wait for their turn."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        # Re-entrant: SIGTERM's handler may come while the same thread is stopping already.
        self._lock = threading.RLock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = False

    def start(self, config: PretrainingConfig, run: Path) -> Future[None]:
        """The result raises StoppedError or FailedError.

        run : the run's folder; gets the settings and what the training said, too
        """
        run.mkdir(parents=True, exist_ok=True)
        record = config.model_dump(mode="json", exclude_none=True)
        (run / SETTINGS).write_text(to_toml(record), encoding="utf-8")
        return self._pool.submit(self._train, run)

    def stop(self) -> None:
        """Every training saves and ends; those that wait never start."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.terminate()

    def _train(self, run: Path) -> None:
        command = [sys.executable, "-m", "trainer", "pretrain", "--config", str(run / SETTINGS), "--out", str(run)]
        environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
        with (run / LOG).open("ab") as log:
            with self._lock:
                if self._stopping:
                    raise StoppedError(f"{run}: not begun")
                process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
                self._running.add(process)
            code = process.wait()
        with self._lock:
            self._running.remove(process)
        if code in (STOPPED, -signal.SIGTERM):  # the latter before it had anything to save
            raise StoppedError(f"{run}: stopped")
        if code:
            said = (run / LOG).read_text(errors="replace")[-LAST_WORDS:]
            raise FailedError(f"{run}: the training ended with exit code {code}, its log with:\n{said}")


@contextmanager
def training_processes(at_a_time: int = len(os.sched_getaffinity(0))) -> Iterator[TrainingProcesses]:
    """A block that lasts until all that it started has ended. SIGTERM, or an exception in between, stops them first."""
    with ThreadPoolExecutor(at_a_time) as pool:
        trainings = TrainingProcesses(pool)

        def stop(number: int, frame: FrameType | None) -> None:
            trainings.stop()

        earlier = signal.signal(signal.SIGTERM, stop)
        try:
            yield trainings
        except BaseException:
            trainings.stop()
            raise
        finally:
            pool.shutdown()
            signal.signal(signal.SIGTERM, earlier)
