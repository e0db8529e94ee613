"""How long results stay in the data folder: the archive has them, these are copies for looking into.

What is removed here can be brought back: a forced run verifies the archive and computes again only what is missing.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from orthanc_plugin.ledger.local_faults import tolerated

WORK_ID = re.compile("[0-9a-f]{64}")
"""Name of a result's folder, see ``work_identity``."""

_log = structlog.get_logger("curia.retention")


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """One finished run on disk. changed_at : epoch seconds."""

    path: Path
    changed_at: float
    bytes: int


def result_folders(folder: Path) -> list[ResultFolder]:
    """Every finished run below *folder*, newest first; what has not a piece of work's name is not ours to touch."""
    measured = [_measure(path) for path in _listed(folder) if WORK_ID.fullmatch(path.name)]
    found = [one for one in measured if one is not None]
    return sorted(found, key=lambda one: one.changed_at, reverse=True)


def overdue(folders: list[ResultFolder], *, now: float, max_age_seconds: float, max_bytes: float) -> list[ResultFolder]:
    """Those of *folders* (newest first) that are too old, or too many bytes together with all newer ones."""
    gone, total = [], 0
    for one in folders:
        total += one.bytes
        if now - one.changed_at > max_age_seconds or total > max_bytes:
            gone.append(one)
    return gone


class Retention:
    """One thread that removes what is overdue now and then.

    is_ended : whether a work id's work is over; nothing else is touched
    """

    def __init__(
        self, folder: Path, *, max_age_seconds: float, max_bytes: float, is_ended: Callable[[str], bool]
    ) -> None:
        self._folder = folder
        self._max_age_seconds = max_age_seconds
        self._max_bytes = max_bytes
        self._is_ended = is_ended

    def run(self, stop: threading.Event, every_seconds: float) -> None:
        while not stop.is_set():
            with tolerated("retention"):
                self.prune()
            stop.wait(every_seconds)

    def prune(self) -> int:
        """Remove what is overdue; gives how many folders went."""
        folders = result_folders(self._folder)
        gone = overdue(folders, now=time.time(), max_age_seconds=self._max_age_seconds, max_bytes=self._max_bytes)
        gone = [one for one in gone if self._is_ended(one.path.name)]
        for one in gone:
            shutil.rmtree(one.path, ignore_errors=True)
        if gone:
            _log.info("pruned", what=self._folder.name, folders=len(gone), bytes=sum(one.bytes for one in gone))
        return len(gone)


def _listed(folder: Path) -> list[Path]:
    """What lies in *folder*; nothing where its disk is away for the moment."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, PermissionError):
        return []


def _measure(path: Path) -> ResultFolder | None:
    try:
        return ResultFolder(path, path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir()))
    except OSError:
        # A run that is done again puts a new folder in its place; a file, or what is closed to us, is none of ours.
        return None
