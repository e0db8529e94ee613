"""What is still to be sent to other archives: one row per object and destination, sent until it has arrived.

The rows are written in the transaction that makes the work stored, so that no crash comes between the two. A row
in hand is due again only after a while, which is the claim that keeps other hosts off it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.copies.forwarding import Send, sender_to
from orthanc_plugin.domain.errors import ServiceError, ServiceStopping
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.domain.text import bounded
from orthanc_plugin.ledger.database import MESSAGE_LENGTH, PENDING, SENT, deliveries
from orthanc_plugin.ledger.jobs import PlannedCopy
from orthanc_plugin.ledger.local_faults import tolerated
from orthanc_plugin.site.destinations import Destination

CLAIM_SECONDS = 300.0
BATCH = 20

_log = structlog.get_logger("curia.outbox")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object for one destination. attempts : so far."""

    sop_instance_uid: str
    destination: str
    work_id: str
    stored: StoredObject
    attempts: int


class Outbox:
    """The rows in the shared database; times are epoch seconds."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def claim_due(self, destination: str, now: float) -> Delivery | None:
        """The row that has been due for longest, in nobody else's hands for ``CLAIM_SECONDS``."""
        due = sa.and_(
            deliveries.c.destination == destination, deliveries.c.state == PENDING, deliveries.c.due_at <= now
        )
        with self._database.begin() as connection:
            for row in connection.execute(sa.select(deliveries).where(due).order_by(deliveries.c.due_at).limit(BATCH)):
                unclaimed = sa.and_(_is(row), deliveries.c.state == PENDING, deliveries.c.due_at == row.due_at)
                claim = sa.update(deliveries).where(unclaimed).values(due_at=now + CLAIM_SECONDS)
                if connection.execute(claim).rowcount == 1:
                    return _as_delivery(row)
        return None

    def mark_sent(self, delivery: Delivery) -> None:
        self._set(delivery, state=SENT, attempts=delivery.attempts + 1, trouble=None)

    def mark_failed(self, delivery: Delivery, *, due_at: float, trouble: str) -> None:
        self._set(delivery, due_at=due_at, attempts=delivery.attempts + 1, trouble=bounded(trouble, MESSAGE_LENGTH))

    def count_pending(self) -> dict[str, int]:
        """Objects not yet sent, by destination."""
        query = sa.select(deliveries.c.destination, sa.func.count()).where(deliveries.c.state == PENDING)
        with self._database.begin() as connection:
            rows = connection.execute(query.group_by(deliveries.c.destination))
            return {destination: int(count) for destination, count in rows}

    def _set(self, delivery: Delivery, **values: Any) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.update(deliveries).where(_is(delivery)).values(**values))


class Dispatcher:
    """Sends what is due to one destination; a peer that does not answer delays nobody but itself.

    retry_seconds : waits after the first, second, ... failure; the last one repeats for ever
    """

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        *,
        client: OrthancClient,
        retry_seconds: Sequence[float],
        poll_seconds: float,
        stop: threading.Event,
    ) -> None:
        self._outbox = outbox
        self._name = destination.name
        self._send: Send = sender_to(destination, client)
        self._retry_seconds = retry_seconds
        self._poll_seconds = poll_seconds
        self._stop = stop

    def run(self) -> None:
        """Send until the service stops."""
        while not self._stop.is_set():
            try:
                with tolerated("sending"):
                    self.send_due(time.time())
            except ServiceStopping:
                return
            self._stop.wait(self._poll_seconds)

    def send_due(self, now: float) -> None:
        """All that is due, up to the first failure: the next look goes on with the object after it."""
        while not self._stop.is_set() and (delivery := self._outbox.claim_due(self._name, now)) is not None:
            if not self._try(delivery):
                return

    def _try(self, delivery: Delivery) -> bool:
        try:
            self._send(delivery.stored)
        except ServiceError as error:
            wait = self._retry_seconds[min(delivery.attempts, len(self._retry_seconds) - 1)]
            self._outbox.mark_failed(delivery, due_at=time.time() + wait, trouble=str(error))
            _log.warning("not sent", destination=self._name, attempts=delivery.attempts + 1, reason=str(error))
            return False
        self._outbox.mark_sent(delivery)
        _log.info("sent", destination=self._name, kind=delivery.stored.kind, attempts=delivery.attempts + 1)
        return True


def planned_copies(
    work_id: str, objects: Sequence[StoredObject], destinations: Sequence[Destination]
) -> list[PlannedCopy]:
    """What has to go to other archives of a piece of work's objects."""
    return [
        PlannedCopy(work_id, destination.name, stored, due_at=time.time())
        for destination in destinations
        for stored in objects
        if destination.wants(stored.kind)
    ]


def _is(delivery: Delivery | sa.Row[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(
        deliveries.c.sop_instance_uid == delivery.sop_instance_uid, deliveries.c.destination == delivery.destination
    )


def _as_delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(row.sop_instance_uid, row.destination, row.work_id, StoredObject(**row.entry), row.attempts)
