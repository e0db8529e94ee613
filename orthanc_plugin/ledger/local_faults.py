"""Faults of this machine's own: a full or read-only disk, too few file descriptors, a database that is locked or away.

No study is to blame for it and every step of the workflow may be repeated, so the step waits and begins again.
"""

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import sqlalchemy as sa
import structlog

from orthanc_plugin.domain.errors import ServiceStopping

RETRY_SECONDS = (0.5, 2.0, 10.0, 30.0)
ERRNOS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT,
        # Too many files open, in the process or on the machine; no memory or process left for a fork.
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
        # A disk that went read-only or away, as on a network.
        errno.EROFS, errno.EIO, errno.ESTALE,
    }
)  # fmt: skip
DATABASE_ERRORS = (sa.exc.OperationalError, sa.exc.TimeoutError)
"""Locked, away, refusing; or all its connections in use for too long."""
READ_ONLY = "25006"
"""PostgreSQL's state for a write where only reading is allowed, as after a fail-over to a standby."""

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger("curia.local_faults")


class FreeSpace:
    """How much room the data folder has, and whether that is enough to go on."""

    def __init__(self, folder: Path, *, least_bytes: int) -> None:
        self._folder = folder
        self._least_bytes = least_bytes

    @property
    def bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    @property
    def is_low(self) -> bool:
        return self.bytes < self._least_bytes


def is_local_fault(error: Exception) -> bool:
    """Whether *error* says that disk or database, not the study, stands in the way."""
    if isinstance(error, OSError):
        return error.errno in ERRNOS
    if isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", None) == READ_ONLY:
        return True
    return isinstance(error, DATABASE_ERRORS)


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Swallow and log local faults (full disk, database away); the caller repeats the block soon anyway."""
    try:
        yield
    except Exception as error:
        if not is_local_fault(error):
            raise
        _log.error("disk or database out of reach", during=what, reason=type(error).__name__)


class Patience:
    """Does things only while there is room on the disk, and again after a local fault."""

    def __init__(self, space: FreeSpace, stop: threading.Event) -> None:
        self._space = space
        self._stop = stop

    def wrap(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """*function* done so; *name* is what the log calls it."""

        def patient(*arguments: P.args, **keywords: P.kwargs) -> R:
            attempts = 0
            while True:
                reason = "the disk of the data folder is full"
                if not self._space.is_low:
                    try:
                        return function(*arguments, **keywords)
                    except Exception as error:
                        if not is_local_fault(error):
                            raise
                        reason = type(error).__name__
                _log.error("waiting for disk or database", stage=name, reason=reason)
                attempts += 1
                if self._stop.wait(RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]):
                    raise ServiceStopping

        return patient
