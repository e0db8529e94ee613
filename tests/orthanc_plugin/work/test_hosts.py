"""Two watchdogs on one database, at times that the test sets."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from orthanc_plugin.ledger.database import open_database
from orthanc_plugin.work.hosts import Heartbeats, Watchdog


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    database = open_database(f"sqlite:///{tmp_path / 'hosts.sqlite'}")
    yield database
    database.dispose()


def watchdog(database: sa.Engine, name: str, taken: list[tuple[str, str]]) -> Watchdog:
    def take_over(dead: str) -> int:
        taken.append((name, dead))
        return 1

    return Watchdog(
        Heartbeats(database), executor_id=name, take_over_seconds=60.0, take_over=take_over, stop=threading.Event()
    )


def test_a_host_that_beats_is_left_alone(database: sa.Engine) -> None:
    taken: list[tuple[str, str]] = []
    one, two = (watchdog(database, name, taken) for name in ("one", "two"))
    for now in range(0, 600, 50):
        one.look(now)
        two.look(now + 1)
    assert taken == []


def test_a_silent_host_is_taken_over_once_after_the_stated_time(database: sa.Engine) -> None:
    taken: list[tuple[str, str]] = []
    one, two = (watchdog(database, name, taken) for name in ("one", "two"))
    watchdog(database, "dead", taken).look(0.0)
    for now in (0.0, 30.0, 59.0):
        one.look(now)
        two.look(now)
    assert taken == []
    for now in (60.0, 61.0, 300.0):
        one.look(now)
        two.look(now)
    assert taken == [("one", "dead")]
    assert set(Heartbeats(database).read()) == {"one", "two"}


def test_of_two_that_see_it_at_once_one_has_the_right(database: sa.Engine) -> None:
    heartbeats = Heartbeats(database)
    heartbeats.beat("dead")
    assert [heartbeats.claim("dead", 0), heartbeats.claim("dead", 0)] == [True, False]


def test_a_host_that_dies_taking_over_is_followed_by_another(database: sa.Engine) -> None:
    taken: list[tuple[str, str]] = []
    watchdog(database, "dead", taken).look(0.0)
    one = watchdog(database, "one", taken)
    one.look(0.0)
    # Somebody else had the right, and never used it.
    assert Heartbeats(database).claim("dead", 0)
    one.look(60.0)
    assert taken == []
    one.look(120.0)
    assert taken == [("one", "dead")]


def test_a_host_that_comes_back_is_known_again(database: sa.Engine) -> None:
    taken: list[tuple[str, str]] = []
    one, two = (watchdog(database, name, taken) for name in ("one", "two"))
    two.look(0.0)
    one.look(0.0)
    one.look(60.0)
    two.look(61.0)
    assert taken == [("one", "two")]
    assert set(Heartbeats(database).read()) == {"one", "two"}
    one.look(62.0)
    one.look(100.0)
    assert len(taken) == 1
