"""What people say of findings: each word stays, a later one is put beside it."""

import time
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from orthanc_plugin.domain.text import bounded
from orthanc_plugin.ledger import database as db


class Opinion(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one person said of one finding of a study's result.

    tracking_uid : of the finding's place, None where it has none
    person : as Orthanc knows who was logged in; empty for a program that has the service's token
    at : seconds since the epoch
    """

    finding: str
    head: str
    tracking_uid: str | None
    verdict: Opinion
    comment: str
    person: str
    at: float


class Judgements:
    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def add(self, orthanc_id: str, work_id: str, judgement: Judgement) -> Judgement:
        """Keep a judgement as it was written, with texts bounded, under the present time."""
        written = Judgement(
            finding=bounded(judgement.finding, db.NAME_LENGTH),
            head=bounded(judgement.head, db.NAME_LENGTH),
            tracking_uid=None if judgement.tracking_uid is None else bounded(judgement.tracking_uid, 64),
            verdict=judgement.verdict,
            comment=bounded(judgement.comment, db.COMMENT_LENGTH),
            person=bounded(judgement.person, db.NAME_LENGTH),
            at=time.time(),
        )
        values = {name: getattr(written, name) for name in Judgement.__slots__}
        row = db.judgements.insert().values(orthanc_id=orthanc_id, work_id=work_id, **values)
        with self._database.begin() as connection:
            connection.execute(row)
        return written

    def of(self, orthanc_id: str) -> tuple[Judgement, ...]:
        """The judgements on a study's results, the oldest first."""
        return self._select(db.judgements.c.orthanc_id == orthanc_id)

    def of_work(self, work_id: str) -> tuple[Judgement, ...]:
        """The judgements on one result, the oldest first."""
        return self._select(db.judgements.c.work_id == work_id)

    def _select(self, condition: sa.ColumnElement[bool]) -> tuple[Judgement, ...]:
        query = sa.select(db.judgements).where(condition).order_by(db.judgements.c.number)
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Judgement(**{name: row[name] for name in Judgement.__slots__} | {"verdict": Opinion(row["verdict"])})
            for row in rows
        )
