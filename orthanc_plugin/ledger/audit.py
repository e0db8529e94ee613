"""Who saw, ran and judged what. Rows are added and never changed; the site decides how long it keeps the database."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from orthanc_plugin.domain.text import bounded
from orthanc_plugin.ledger import database as db

PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, or was not let.

    person : as Orthanc knows who was logged in; empty for a program that has the service's token

    at : seconds since the epoch
    allowed : false where the person did not have the role
    """

    at: float
    person: str
    action: str
    orthanc_id: str | None
    allowed: bool


class Audit:
    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def note(self, person: str, action: str, *, orthanc_id: str | None, allowed: bool) -> None:
        row = db.audit.insert().values(
            at=time.time(),
            person=bounded(person, db.NAME_LENGTH),
            action=action,
            orthanc_id=orthanc_id,
            allowed=allowed,
        )
        with self._database.begin() as connection:
            connection.execute(row)

    def entries(self) -> Iterator[AuditEntry]:
        """All entries, the oldest first, a page at a time."""
        last = 0
        while True:
            query = sa.select(db.audit).where(db.audit.c.number > last).order_by(db.audit.c.number).limit(PAGE)
            with self._database.begin() as connection:
                rows = connection.execute(query).mappings().all()
            yield from (AuditEntry(**{name: row[name] for name in AuditEntry.__slots__}) for row in rows)
            if len(rows) < PAGE:
                return
            last = rows[-1]["number"]
