import errno
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from orthanc_plugin.domain.errors import ServiceStopping
from orthanc_plugin.ledger.local_faults import FreeSpace, Patience, is_local_fault, tolerated


def roomy(folder: Path) -> FreeSpace:
    return FreeSpace(folder, least_bytes=0)


def failing(*errors: Exception) -> tuple[list[str], "object"]:
    """A step that raises *errors* one by one and then succeeds, and what it was called with."""
    calls: list[str] = []
    left = list(errors)

    def step(work_id: str) -> str:
        calls.append(work_id)
        if left:
            raise left.pop(0)
        return "running"

    return calls, step


def test_a_full_disk_and_a_locked_database_are_waited_for(tmp_path: Path) -> None:
    locked = sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
    calls, step = failing(OSError(errno.ENOSPC, "No space left on device"), locked)
    assert Patience(roomy(tmp_path), threading.Event()).wrap("run", step)("w1") == "running"
    assert calls == ["w1"] * 3


class ReadOnlyError(Exception):
    """As psycopg raises it: no operational error."""

    sqlstate = "25006"


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.EIO, "Input/output error"),
        sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"),
        sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("attempt to write a readonly database")),
        sa.exc.InternalError("UPDATE", {}, ReadOnlyError()),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_machine_for_a_while_is_no_defect(fault: Exception) -> None:
    assert is_local_fault(fault)


def test_a_defect_is_not_waited_for(tmp_path: Path) -> None:
    for defect in (ValueError("state"), FileNotFoundError(errno.ENOENT, "gone")):
        calls, step = failing(defect)
        with pytest.raises(type(defect)):
            Patience(roomy(tmp_path), threading.Event()).wrap("run", step)("w1")
        assert len(calls) == 1


def test_no_step_begins_while_there_is_no_room(tmp_path: Path) -> None:
    space = FreeSpace(tmp_path, least_bytes=10**18)
    assert space.is_low
    calls, step = failing()
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(ServiceStopping):
        Patience(space, stop).wrap("fetch", step)("w1")
    assert calls == []


def test_trouble_that_is_tolerated_ends_the_block_and_a_defect_is_raised() -> None:
    with tolerated("heartbeat"):
        raise sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
    with pytest.raises(ValueError, match="state"), tolerated("heartbeat"):
        raise ValueError("state")
