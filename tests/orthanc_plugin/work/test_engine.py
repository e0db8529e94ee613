"""The durable engine itself, on SQLite."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from dbos import DBOS

from orthanc_plugin.domain.errors import WorkTakenAway
from orthanc_plugin.domain.states import State
from orthanc_plugin.work.engine import DurableEngine, Step


@contextmanager
def running_engine(folder: Path, step: Step) -> Iterator[DurableEngine]:
    engine = DurableEngine(
        database_url=f"sqlite:///{folder / 'engine.sqlite'}",
        executor_id="here",
        attempt=lambda _work_id: nullcontext(1),
        steps=[("step", step)],
        concurrency=1,
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def test_urgent_work_goes_before_what_waited_longer(tmp_path: Path) -> None:
    order: list[str] = []
    begun, released, done = threading.Event(), threading.Event(), threading.Event()

    def step(work_id: str, _lease: int) -> str:
        order.append(work_id)
        begun.set()
        assert released.wait(20)
        if len(order) == 4:
            done.set()
        return State.STORED.value

    with running_engine(tmp_path, step) as engine:
        engine.ensure("first", priority=100)
        assert begun.wait(20)
        engine.ensure("ordinary", priority=100)
        engine.ensure("later", priority=500)
        engine.ensure("emergency", priority=1)
        released.set()
        assert done.wait(20)
    assert order == ["first", "emergency", "ordinary", "later"]


def test_work_that_was_taken_away_from_its_rightful_host_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a host that was paused in the moment in which it had taken the work from the queue."""
    monkeypatch.setattr("orthanc_plugin.work.engine.BEGIN_SECONDS", 1.0)
    goes: list[int] = []
    taken_away = threading.Event()

    def step(work_id: str, _lease: int) -> str:
        goes.append(len(goes))
        if len(goes) == 1:
            taken_away.set()
            raise WorkTakenAway(work_id)
        return State.STORED.value

    with running_engine(tmp_path, step) as engine:
        engine.ensure("work", priority=100)
        assert taken_away.wait(20)
        deadline = time.monotonic() + 20
        while len(goes) == 1:
            assert time.monotonic() < deadline
            engine.ensure("work", priority=100)
            time.sleep(0.2)
        DBOS.retrieve_workflow("work").get_result()
    assert goes == [0, 1]
