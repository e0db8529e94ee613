"""Which hosts are alive, and who takes over from one that is not.

A host is known by a number that it keeps raising. Another that has seen the number stand still for long enough, on
its own clock, raises it itself: whoever succeeds in that has the right to take the work over, and if it dies on
the way, the number stands still again. No two hosts' clocks are ever compared.
"""

import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
import structlog

from orthanc_plugin.ledger.database import hosts, insert_once
from orthanc_plugin.ledger.local_faults import tolerated

BEATS_PER_TAKE_OVER = 6

_log = structlog.get_logger("curia.hosts")


class Heartbeats:
    """The hosts' numbers in the shared database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def beat(self, executor_id: str) -> None:
        with self._database.begin() as connection:
            if not insert_once(connection, hosts, {"executor_id": executor_id, "beat": 0}):
                mine = hosts.c.executor_id == executor_id
                connection.execute(sa.update(hosts).where(mine).values(beat=hosts.c.beat + 1))

    def read(self) -> dict[str, int]:
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(hosts.c.executor_id, hosts.c.beat))
            return {row.executor_id: row.beat for row in rows}

    def claim(self, executor_id: str, beat: int) -> bool:
        """Whether the number was still *beat*, and so nobody else alive or earlier than us."""
        still = sa.and_(hosts.c.executor_id == executor_id, hosts.c.beat == beat)
        with self._database.begin() as connection:
            return connection.execute(sa.update(hosts).where(still).values(beat=beat + 1)).rowcount == 1

    def forget(self, executor_id: str, beat: int) -> None:
        gone = sa.and_(hosts.c.executor_id == executor_id, hosts.c.beat == beat)
        with self._database.begin() as connection:
            connection.execute(sa.delete(hosts).where(gone))


class Watchdog:
    """Beats for this host, and takes over from the others.

    take_over_seconds : how long another host's number must stand still
    take_over : has the work of a dead host, by its name, done by the living; gives the number of pieces
    """

    def __init__(
        self,
        heartbeats: Heartbeats,
        *,
        executor_id: str,
        take_over_seconds: float,
        take_over: Callable[[str], int],
        stop: threading.Event,
    ) -> None:
        self._heartbeats = heartbeats
        self._executor_id = executor_id
        self._take_over_seconds = take_over_seconds
        self._take_over = take_over
        self._stop = stop
        self._seen: dict[str, tuple[int, float]] = {}
        self._last_beat: float | None = None

    @property
    def is_beating(self) -> bool:
        """Whether the database took this host's number of late: if not, the others are about to think it dead."""
        return self._last_beat is not None and time.monotonic() - self._last_beat < self._take_over_seconds

    def run(self) -> None:
        """Beat and watch until the service stops."""
        while not self._stop.is_set():
            with tolerated("heartbeat"):
                self.look(time.monotonic())
            self._stop.wait(self._take_over_seconds / BEATS_PER_TAKE_OVER)

    def look(self, now: float) -> None:
        """Beat once and judge the others at *now*, seconds on a clock that is only compared with itself."""
        self._heartbeats.beat(self._executor_id)
        self._last_beat = time.monotonic()
        for executor_id, beat in self._heartbeats.read().items():
            if executor_id != self._executor_id and self._is_dead(executor_id, beat, now):
                self._inherit(executor_id, beat)

    def _is_dead(self, executor_id: str, beat: int, now: float) -> bool:
        seen_beat, since = self._seen.get(executor_id, (None, now))
        if seen_beat != beat:
            self._seen[executor_id] = beat, now
            return False
        return now - since >= self._take_over_seconds

    def _inherit(self, executor_id: str, beat: int) -> None:
        if not self._heartbeats.claim(executor_id, beat):
            return
        pieces = self._take_over(executor_id)
        self._heartbeats.forget(executor_id, beat + 1)
        self._seen.pop(executor_id, None)
        _log.warning("took over from a dead host", host=executor_id, pieces=pieces)
