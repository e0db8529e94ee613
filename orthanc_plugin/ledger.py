"""What the service knows of studies and work: SQL tables of our own beside the durable engine's.

The engine makes steps happen; the ledger says in which state things are, what came out, and how far the change
log was read. Works on SQLite and PostgreSQL.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orthanc_plugin.eligibility import SeriesFacts, StudyFacts
from orthanc_plugin.states import ACTIVE, State, may_move

_metadata = sa.MetaData()

_studies = sa.Table(
    "curia_studies",
    _metadata,
    sa.Column("orthanc_id", sa.String(64), primary_key=True),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(200)),
    sa.Column("work_id", sa.String(64)),
    sa.Column("stable_at", sa.Float),
    sa.Column("updated_at", sa.Float, nullable=False, index=True),
)

_series = sa.Table(
    "curia_series",
    _metadata,
    sa.Column("orthanc_id", sa.String(64), primary_key=True),
    sa.Column("series", sa.JSON, nullable=False),
)

_jobs = sa.Table(
    "curia_jobs",
    _metadata,
    sa.Column("work_id", sa.String(64), primary_key=True),
    sa.Column("orthanc_id", sa.String(64), nullable=False, index=True),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("source_digest", sa.String(64), nullable=False),
    sa.Column("pipeline_digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason_code", sa.String(64)),
    sa.Column("reason_message", sa.String(1000)),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sa.Column("stable_at", sa.Float, nullable=False),
    sa.Column("queued_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("timings", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("objects", sa.JSON, nullable=False),
)

_cursors = sa.Table(
    "curia_cursors",
    _metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    crashes : how often it took the worker down
    stable_at, queued_at, started_at, finished_at : epoch seconds
    timings : seconds of each stage of the service
    result : the pipeline's result.json once it was checked
    objects : what lies in the archive, one mapping per output: kind, UIDs, Orthanc ids, SHA-256, bytes
    """

    work_id: str
    orthanc_id: str
    study_instance_uid: str
    source_digest: str
    pipeline_digest: str
    state: State
    reason_code: str | None
    reason_message: str | None
    crashes: int
    stable_at: float
    queued_at: float
    started_at: float | None
    finished_at: float | None
    timings: dict[str, float]
    result: dict[str, Any] | None
    objects: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study of the work list, with its current work when there is any.

    series : all of the study's when it was last looked at: series_instance_uid, modality, num_instances
    own_series_uids : series that any work wrote into the study
    """

    orthanc_id: str
    study_instance_uid: str
    state: State
    reason: str | None
    stable_at: float | None
    updated_at: float
    job: Job | None
    series: list[dict[str, Any]]
    own_series_uids: frozenset[str]


class Ledger:
    """All reads and writes; each method is one transaction."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        _metadata.create_all(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def cursor(self, name: str) -> int | None:
        with self._engine.begin() as connection:
            return connection.scalar(sa.select(_cursors.c.value).where(_cursors.c.name == name))

    def set_cursor(self, name: str, value: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_cursors).where(_cursors.c.name == name))
            connection.execute(sa.insert(_cursors).values(name=name, value=value))

    def note_study(self, study: StudyFacts, state: State, *, reason: str | None = None) -> None:
        """Say how a study without current work stands."""
        self._put_study(study, state=state.value, reason=reason, work_id=None, stable_at=None)

    def note_series(self, orthanc_id: str, series: Iterable[SeriesFacts]) -> None:
        """Keep which series the study has, those that are not read among them."""
        facts = [
            {
                "series_instance_uid": one.series_instance_uid,
                "modality": one.modality,
                "num_instances": len(one.instance_ids),
            }
            for one in series
        ]
        self._put(_series, orthanc_id, series=facts)

    def note_stable(self, study: StudyFacts) -> float:
        """When the study was first seen stable since it was last seen arriving, in epoch seconds."""
        with self._engine.begin() as connection:
            known = connection.execute(
                sa.select(_studies).where(_studies.c.orthanc_id == study.orthanc_id)
            ).one_or_none()
            if known is not None and known.stable_at is not None and known.work_id is None:
                return float(known.stable_at)
        now = time.time()
        self._put_study(study, state=State.WAITING.value, work_id=None, stable_at=now)
        return now

    def forget_study(self, orthanc_id: str) -> None:
        with self._engine.begin() as connection:
            for table in (_studies, _series):
                connection.execute(sa.delete(table).where(table.c.orthanc_id == orthanc_id))

    def known_studies(self) -> set[str]:
        with self._engine.begin() as connection:
            return set(connection.scalars(sa.select(_studies.c.orthanc_id)))

    def add_job(self, study: StudyFacts, job: Job) -> bool:
        """Enter the work unless it is known, and make it the study's current work; true when it is new."""
        with self._engine.begin() as connection:
            known = connection.scalar(sa.select(_jobs.c.work_id).where(_jobs.c.work_id == job.work_id))
            if known is None:
                connection.execute(sa.insert(_jobs).values(**_as_columns(job)))
        self._put_study(study, state=State.QUEUED.value, reason=None, work_id=job.work_id)
        return known is None

    def job(self, work_id: str) -> Job:
        with self._engine.begin() as connection:
            return _as_job(connection.execute(sa.select(_jobs).where(_jobs.c.work_id == work_id)).one())

    def is_ended(self, work_id: str) -> bool:
        """Whether the work is over; true for work that nobody knows any more."""
        with self._engine.begin() as connection:
            state = connection.scalar(sa.select(_jobs.c.state).where(_jobs.c.work_id == work_id))
        return state is None or State(state).is_final

    def jobs_of(self, orthanc_id: str) -> list[Job]:
        return self._select_jobs(_jobs.c.orthanc_id == orthanc_id)

    def unfinished_jobs(self) -> list[Job]:
        return self._select_jobs(_jobs.c.state.in_([state.value for state in ACTIVE]))

    def move(self, work_id: str, state: State, **values: Any) -> None:
        """Take the work to *state*, setting further columns along with it."""
        with self._engine.begin() as connection:
            before = State(connection.scalars(sa.select(_jobs.c.state).where(_jobs.c.work_id == work_id)).one())
            if not may_move(before, state):
                raise ValueError(f"state: no move leads from {before} to {state}")
            if state.is_final:
                values |= {"finished_at": time.time()}
            connection.execute(sa.update(_jobs).where(_jobs.c.work_id == work_id).values(state=state.value, **values))
            connection.execute(sa.update(_studies).where(_studies.c.work_id == work_id).values(updated_at=time.time()))

    def end(self, work_id: str, state: State, *, code: str, message: str) -> None:
        self.move(work_id, state, reason_code=code, reason_message=message[:1000])

    def requeue(self, work_id: str) -> None:
        """Put finished work back to the start, keeping what is known of its objects."""
        now = time.time()
        self.move(
            work_id,
            State.QUEUED,
            reason_code=None,
            reason_message=None,
            crashes=0,
            stable_at=now,
            queued_at=now,
            started_at=None,
            finished_at=None,
        )

    def count_crash(self, work_id: str) -> int:
        with self._engine.begin() as connection:
            connection.execute(sa.update(_jobs).where(_jobs.c.work_id == work_id).values(crashes=_jobs.c.crashes + 1))
            return int(connection.scalar(sa.select(_jobs.c.crashes).where(_jobs.c.work_id == work_id)) or 0)

    def add_timing(self, work_id: str, stage: str, seconds: float) -> None:
        with self._engine.begin() as connection:
            timings = connection.scalar(sa.select(_jobs.c.timings).where(_jobs.c.work_id == work_id)) or {}
            connection.execute(
                sa.update(_jobs).where(_jobs.c.work_id == work_id).values(timings=timings | {stage: round(seconds, 3)})
            )

    def supersede_older(self, job: Job) -> None:
        """Mark the study's finished work on other instances, or by another pipeline, as replaced by *job*."""
        for other in self.jobs_of(job.orthanc_id):
            if other.work_id != job.work_id and other.state.is_final and other.state is not State.SUPERSEDED:
                message = f"replaced by {job.work_id[:12]}"
                self.end(other.work_id, State.SUPERSEDED, code="newer-work", message=message)

    def own_series_uids(self, orthanc_id: str) -> set[str]:
        """Series that we wrote into the study."""
        return _written_by(self.jobs_of(orthanc_id))

    def study_row(self, orthanc_id: str) -> StudyRow | None:
        rows = self._select_rows(_studies.c.orthanc_id == orthanc_id, limit=1)
        return rows[0] if rows else None

    def work_list(self, limit: int) -> list[StudyRow]:
        """The studies that moved last, newest first."""
        return self._select_rows(sa.true(), limit=limit)

    def count_by_state(self) -> dict[str, int]:
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(_jobs.c.state, sa.func.count()).group_by(_jobs.c.state))
            return {state: int(count) for state, count in rows}

    def count_failures_by_code(self) -> dict[str, int]:
        failed = sa.select(_jobs.c.reason_code, sa.func.count()).where(_jobs.c.state == State.FAILED.value)
        with self._engine.begin() as connection:
            return {code: int(count) for code, count in connection.execute(failed.group_by(_jobs.c.reason_code))}

    def oldest_queued_at(self) -> float | None:
        with self._engine.begin() as connection:
            query = sa.select(sa.func.min(_jobs.c.queued_at)).where(_jobs.c.state == State.QUEUED.value)
            oldest: float | None = connection.scalar(query)
            return oldest

    def _put_study(self, study: StudyFacts, **values: Any) -> None:
        values |= {"study_instance_uid": study.study_instance_uid, "updated_at": time.time()}
        self._put(_studies, study.orthanc_id, **values)

    def _put(self, table: sa.Table, orthanc_id: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            updated = connection.execute(sa.update(table).where(table.c.orthanc_id == orthanc_id).values(**values))
            if updated.rowcount == 0:
                connection.execute(sa.insert(table).values(orthanc_id=orthanc_id, **values))

    def _select_jobs(self, condition: sa.ColumnElement[bool]) -> list[Job]:
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(_jobs).where(condition).order_by(_jobs.c.queued_at))
            return [_as_job(row) for row in rows]

    def _select_rows(self, condition: sa.ColumnElement[bool], *, limit: int) -> list[StudyRow]:
        with_series = _studies.join(_series, _studies.c.orthanc_id == _series.c.orthanc_id, isouter=True)
        query = sa.select(_studies, _series.c.series).select_from(with_series).where(condition)
        with self._engine.begin() as connection:
            studies = connection.execute(query.order_by(_studies.c.updated_at.desc()).limit(limit)).all()
        jobs = self._select_jobs(_jobs.c.orthanc_id.in_([study.orthanc_id for study in studies]))
        return [_as_study_row(study, [job for job in jobs if job.orthanc_id == study.orthanc_id]) for study in studies]


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The engine and the ledger write to one file from several threads; WAL lets readers pass.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


def _as_columns(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Job.__slots__} | {"state": job.state.value}


def _as_job(row: sa.Row[Any]) -> Job:
    return Job(**{**row._mapping, "state": State(row.state)})


def _written_by(jobs: Iterable[Job]) -> set[str]:
    return {entry["series_instance_uid"] for job in jobs for entry in job.objects}


def _as_study_row(study: sa.Row[Any], jobs: Sequence[Job]) -> StudyRow:
    job = next((job for job in jobs if job.work_id == study.work_id), None)
    return StudyRow(
        orthanc_id=study.orthanc_id,
        study_instance_uid=study.study_instance_uid,
        state=job.state if job is not None else State(study.state),
        reason=study.reason if job is None else job.reason_message,
        stable_at=study.stable_at if job is None else job.stable_at,
        updated_at=study.updated_at,
        job=job,
        series=study.series or [],
        own_series_uids=frozenset(_written_by(jobs)),
    )
