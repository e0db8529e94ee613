"""One thread watches over all studies: no answer, and nothing that a study holds, ends it."""

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.archive.recent_faults import RecentFaults
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.intake import Intake, Timing
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.studies import StudyRow
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.orthanc_access import OrthancAccess
from service_cases import JOB, STUDY

GOOD, BAD = "a-good", "a-bad"


def study(orthanc_id: str, uid: str = "1.2.3") -> dict[str, Any]:
    tags = {"StudyInstanceUID": uid}
    return {"ID": orthanc_id, "IsStable": False, "LastUpdate": "20260131T120000", "MainDicomTags": tags}


class Orthanc(ThreadingHTTPServer):
    """Two studies; *answers* are given in the place of Orthanc's own, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.series: list[dict[str, Any]] = []

    def own_answer(self, path: str) -> Any:
        return {
            "/tools/now": "20260131T120010",
            "/changes": {"Changes": [], "Last": 5, "Done": True},
            "/studies": [study(BAD), study(GOOD)],
            f"/studies/{GOOD}": study(GOOD),
            f"/studies/{BAD}": study(BAD, "1.2.4"),
        }.get(path, self.series)


class _Handler(BaseHTTPRequestHandler):
    server: Orthanc

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        own = self.server.own_answer(path)
        body = self.server.answers.get(path, own.encode() if isinstance(own, str) else json.dumps(own).encode())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not on the test's terminal."""


class Watch:
    def __init__(self, orthanc: Orthanc, ledger: Ledger, faults: RecentFaults, thread: threading.Thread) -> None:
        self.orthanc, self.ledger, self.faults, self._thread = orthanc, ledger, faults, thread

    def wait(self, condition: Callable[[StudyRow | None], bool], orthanc_id: str) -> StudyRow | None:
        deadline = time.monotonic() + 10.0
        while not condition(row := self.ledger.studies.row(orthanc_id)):
            assert self._thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return row


@contextmanager
def watching(folder: Path, orthanc: Orthanc, ledger: Ledger | None = None) -> Iterator[Watch]:
    stop, faults = threading.Event(), RecentFaults()
    with ExitStack() as closing:
        threading.Thread(target=orthanc.serve_forever, args=(0.05,), daemon=True).start()
        closing.callback(orthanc.server_close)
        closing.callback(orthanc.shutdown)
        ledger = ledger or Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
        closing.callback(ledger.close)
        access = OrthancAccess(f"http://127.0.0.1:{orthanc.server_port}")
        client = OrthancClient(access, patience_seconds=0.0, stop=stop, faults=faults)
        closing.callback(client.close)
        intake = Intake(
            Timing(quiet_seconds=5.0, incomplete_seconds=5.0, poll_seconds=0.1, sweep_seconds=0.3, backlog_days=7.0),
            rules=(), reader="here", client=client, ledger=ledger, engine=None, workers=WorkerPool([], stop=stop),
            wishes=queue.SimpleQueue(), stop=stop,
        )  # fmt: skip
        thread = threading.Thread(target=intake.run, daemon=True)
        thread.start()
        closing.callback(thread.join)
        closing.callback(stop.set)
        yield Watch(orthanc, ledger, faults, thread)


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"", b"7", b'{"ID": "M\xfcller"}', b'{"Done": false}'])
@pytest.mark.parametrize("path", ["/changes", "/studies", "/tools/now"])
def test_answers_of_something_else_are_waited_out(tmp_path: Path, path: str, answer: bytes) -> None:
    orthanc = Orthanc()
    orthanc.answers[path] = answer
    with watching(tmp_path, orthanc) as watch:
        watch.wait(lambda _: watch.faults.has("archive-not-understood"), GOOD)
        assert watch.ledger.studies.row(GOOD) is None
        del orthanc.answers[path]
        watch.wait(lambda row: row is not None, GOOD)


def test_one_study_that_is_answered_with_a_page_holds_up_no_other(tmp_path: Path) -> None:
    orthanc = Orthanc()
    orthanc.answers[f"/studies/{BAD}"] = b"<html>error</html>"
    with watching(tmp_path, orthanc) as watch:
        row = watch.wait(lambda row: row is not None, GOOD)
        assert row is not None
        assert (row.state, row.reason) == (State.WAITING, "still arriving")
        assert watch.ledger.studies.row(BAD) is None


def test_a_study_that_cannot_be_put_down_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    orthanc = Orthanc()
    orthanc.answers[f"/studies/{BAD}"] = json.dumps(study(BAD, "1." * 50)).encode()
    with watching(tmp_path, orthanc) as watch:
        row = watch.wait(lambda row: row is not None, BAD)
        assert row is not None
        assert row.state is State.FAILED
        assert row.reason == (
            "set aside: its Study Instance UID is not one: expected at most 64 digits and dots, got 100 characters"
        )
        watch.wait(lambda row: row is not None, GOOD)


def test_a_defect_met_in_one_study_holds_up_no_other(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with ledger.database.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER t BEFORE INSERT ON curia_series WHEN NEW.orthanc_id = '{BAD}' "
            "BEGIN SELECT RAISE(ABORT, 'value too long'); END"
        )
    with watching(tmp_path, Orthanc(), ledger) as watch:
        watch.wait(lambda row: row is not None, GOOD)
        assert watch.ledger.studies.row(BAD) is None


def test_a_defect_met_in_mending_one_piece_of_work_holds_up_no_study(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    # There is no engine here that could take it up.
    ledger.jobs.add(STUDY, JOB)
    with watching(tmp_path, Orthanc(), ledger) as watch:
        watch.wait(lambda row: row is not None, GOOD)


def locked(ledger: Ledger) -> AbstractContextManager[object]:
    """Another process writes and does not come to an end."""
    other = sqlite3.connect(str(ledger.database.url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return closing(other)


@contextmanager
def read_only(ledger: Ledger) -> Iterator[None]:
    def refuse_writes(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = 1")

    def allow_writes(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = 0")

    event.listen(ledger.database, "checkout", refuse_writes)
    event.listen(ledger.database, "checkin", allow_writes)
    yield
    event.remove(ledger.database, "checkout", refuse_writes)


@pytest.mark.parametrize("hindered", [locked, read_only])
def test_a_database_that_takes_nothing_for_a_while_ends_nothing(
    tmp_path: Path, hindered: Callable[[Ledger], AbstractContextManager[object]]
) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    # A lock is waited for no longer than a test waits.
    event.listen(ledger.database, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout = 50"))
    orthanc = Orthanc()
    with ExitStack() as hindrance:
        hindrance.enter_context(hindered(ledger))
        with watching(tmp_path, orthanc, ledger) as watch:
            watch.wait(lambda _: orthanc.asked.count("/changes") > 2, GOOD)
            assert ledger.studies.row(GOOD) is None
            hindrance.close()
            watch.wait(lambda row: row is not None, GOOD)


def test_a_study_that_was_put_off_keeps_nobody_busy(tmp_path: Path) -> None:
    orthanc = Orthanc()
    orthanc.answers[f"/studies/{BAD}"] = b"<html>error</html>"
    with watching(tmp_path, orthanc) as watch:
        watch.wait(lambda row: row is not None, GOOD)
        begun = time.monotonic()
        rounds = orthanc.asked.count("/changes")
        watch.wait(lambda _: orthanc.asked.count("/changes") >= rounds + 5, GOOD)
        assert orthanc.asked.count(f"/studies/{BAD}") == 1
        # And rounds follow one another as often as the settings say, not at once.
        assert time.monotonic() - begun > 5 * 0.05
