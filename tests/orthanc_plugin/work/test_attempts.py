"""Attempts at a piece of work: the lease on it, and the starts that never ended."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.domain.errors import HostCrashError, ServiceStopping, WorkTakenAway
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import FreeSpace, Patience
from orthanc_plugin.work.attempts import MAX_HOST_CRASHES, Attempts, Gate, refuse_deadly
from service_cases import JOB, STUDY


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.jobs.add(STUDY, JOB)
    yield ledger
    ledger.close()


def a_host(ledger: Ledger, folder: Path) -> Attempts:
    stop = threading.Event()
    return Attempts(ledger.jobs, Patience(FreeSpace(folder, least_bytes=0), stop), stop=stop)


def die_in(ledger: Ledger, work_id: str) -> None:
    """What an attempt leaves whose host is killed."""
    ledger.jobs.begin_attempt(ledger.jobs.take_lease(work_id))


def test_a_study_that_three_hosts_died_in_is_refused_by_the_fourth(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(MAX_HOST_CRASHES):
        refuse_deadly(ledger.jobs.read("w1"))
        die_in(ledger, "w1")
    with (
        a_host(ledger, tmp_path).attempt("w1"),
        pytest.raises(HostCrashError, match="died 3 times while it worked on this study"),
    ):
        refuse_deadly(ledger.jobs.read("w1"))


@pytest.mark.parametrize("end", [ServiceStopping(), WorkTakenAway("w1"), ValueError("defect")])
def test_an_attempt_that_ends_in_any_way_does_not_count(ledger: Ledger, tmp_path: Path, end: BaseException) -> None:
    for _ in range(MAX_HOST_CRASHES + 1):
        with suppress(type(end)), a_host(ledger, tmp_path).attempt("w1"):
            refuse_deadly(ledger.jobs.read("w1"))
            raise end
    assert ledger.jobs.read("w1").open_starts == 0


def test_asking_for_the_study_gives_it_all_its_starts_again(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(MAX_HOST_CRASHES):
        die_in(ledger, "w1")
    ledger.jobs.end(ledger.jobs.read("w1"), State.FAILED, code="host-crash", message="m")
    ledger.jobs.requeue("w1")
    refuse_deadly(ledger.jobs.take_lease("w1"))
    assert ledger.jobs.read("w1").open_starts == 0


def test_a_paused_host_that_goes_on_has_not_died(ledger: Ledger, tmp_path: Path) -> None:
    with a_host(ledger, tmp_path).attempt("w1") as paused:
        with a_host(ledger, tmp_path).attempt("w1") as other:
            assert other > paused
            assert ledger.jobs.read("w1").open_starts == 2
        assert ledger.jobs.leased("w1", other).lease == other
    assert ledger.jobs.read("w1").open_starts == 0


def test_the_last_start_is_made_alone_so_that_a_neighbour_is_not_set_aside(ledger: Ledger, tmp_path: Path) -> None:
    """Two studies side by side, of which the first kills its host whenever it is under way."""
    ledger.jobs.add(STUDY, replace(JOB, work_id="w2"))
    for _ in range(MAX_HOST_CRASHES - 1):
        die_in(ledger, "w1")
        die_in(ledger, "w2")
    host, begun = a_host(ledger, tmp_path), threading.Event()

    def neighbour() -> None:
        with host.attempt("w2"):
            begun.set()

    with host.attempt("w1"):
        threading.Thread(target=neighbour).start()
        assert not begun.wait(0.3)
        # Were the host killed now, as it will be, the neighbour would have no part in it.
        starts = [ledger.jobs.read(work_id).open_starts for work_id in ("w1", "w2")]
        assert starts == [MAX_HOST_CRASHES, MAX_HOST_CRASHES - 1]
    assert begun.wait(5)


def test_an_exclusive_attempt_waits_for_those_inside_and_holds_those_up_that_come_later() -> None:
    gate, order = Gate(threading.Event()), list[str]()

    def enter(name: str, *, exclusive: bool) -> threading.Thread:
        def pass_through() -> None:
            with gate.passed(exclusive=exclusive):
                order.append(name)

        thread = threading.Thread(target=pass_through)
        thread.start()
        thread.join(0.2)
        return thread

    with ExitStack() as inside:
        inside.enter_context(gate.passed(exclusive=False))
        enter("beside", exclusive=False)
        assert order == ["beside"]
        threads = [enter("alone", exclusive=True), enter("later", exclusive=False)]
        assert order == ["beside"]
    for thread in threads:
        thread.join(5)
    assert order == ["beside", "alone", "later"]


def test_the_end_of_the_service_ends_the_wait_at_the_gate() -> None:
    stop = threading.Event()
    gate = Gate(stop)
    with gate.passed(exclusive=False):
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(ServiceStopping), gate.passed(exclusive=True):
            pass
