"""Counts and ages over all studies and work, for metrics and alarms."""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from orthanc_plugin.domain.states import ACTIVE, State
from orthanc_plugin.ledger import database as db


@dataclass(frozen=True, slots=True)
class OverdueStudy:
    """A study without an outcome. since : epoch seconds when it came to rest."""

    orthanc_id: str
    study_instance_uid: str
    since: float


class Figures:
    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def count_by_state(self) -> dict[str, int]:
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(db.jobs.c.state, sa.func.count()).group_by(db.jobs.c.state))
            return {state: int(count) for state, count in rows}

    def count_failures_by_code(self) -> dict[str, int]:
        failed = sa.select(db.jobs.c.reason_code, sa.func.count()).where(db.jobs.c.state == State.FAILED.value)
        with self._database.begin() as connection:
            return {code: int(count) for code, count in connection.execute(failed.group_by(db.jobs.c.reason_code))}

    def count_studies_failed_as(self, code: str) -> int:
        """Studies whose current work failed for this reason."""
        current = db.studies.join(db.jobs, db.studies.c.work_id == db.jobs.c.work_id)
        failed = sa.and_(db.jobs.c.state == State.FAILED.value, db.jobs.c.reason_code == code)
        with self._database.begin() as connection:
            query = sa.select(sa.func.count()).select_from(current).where(failed)
            return connection.scalar(query) or 0

    def oldest_queued_at(self) -> float | None:
        with self._database.begin() as connection:
            query = sa.select(sa.func.min(db.jobs.c.queued_at)).where(db.jobs.c.state == State.QUEUED.value)
            oldest: float | None = connection.scalar(query)
            return oldest

    def overdue(self, seconds: float) -> list[OverdueStudy]:
        """Studies that came to rest more than *seconds* ago and have no outcome yet, the oldest first."""
        state = sa.func.coalesce(db.jobs.c.state, db.studies.c.state)
        since = sa.func.coalesce(db.jobs.c.stable_at, db.studies.c.stable_at)
        query = (
            sa.select(db.studies.c.orthanc_id, db.studies.c.study_instance_uid, since.label("since"))
            .select_from(db.studies.join(db.jobs, db.studies.c.work_id == db.jobs.c.work_id, isouter=True))
            .where(state.in_([one.value for one in ACTIVE | {State.WAITING}]), since < time.time() - seconds)
            .order_by(since)
        )
        with self._database.begin() as connection:
            return [OverdueStudy(**row._mapping) for row in connection.execute(query)]
