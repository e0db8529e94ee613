"""Trouble of this machine's own: a full disk, a database that is locked or away.

No study is to blame for it and every step of the workflow may be repeated, so the step waits and begins again.
"""

import errno
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
import structlog

from orthanc_plugin.engine import Step
from orthanc_plugin.errors import ServiceStopping

RETRY_SECONDS = (0.5, 2.0, 10.0, 30.0)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = structlog.get_logger("curia.workflow")


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


def is_local_trouble(error: Exception) -> bool:
    """Whether *error* says that disk or database, not the study, stands in the way."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return isinstance(error, sa.exc.OperationalError)


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """The block ends early, and says so, in trouble of this machine's own: whoever does it does it again soon."""
    try:
        yield
    except Exception as error:
        if not is_local_trouble(error):
            raise
        _log.error("disk or database out of reach", during=what, reason=type(error).__name__)


def patient(name: str, step: Step, space: FreeSpace, stop: threading.Event) -> Step:
    """*step*, begun only while there is room on the disk, and again after trouble of this machine's own."""

    def patient(work_id: str) -> str:
        attempts = 0
        while True:
            if not space.is_low:
                try:
                    return step(work_id)
                except Exception as error:
                    if not is_local_trouble(error):
                        raise
                    reason = type(error).__name__
            else:
                reason = "the disk of the data folder is full"
            _log.error("waiting for disk or database", stage=name, work=work_id[:12], reason=reason)
            attempts += 1
            if stop.wait(RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]):
                raise ServiceStopping

    return patient
