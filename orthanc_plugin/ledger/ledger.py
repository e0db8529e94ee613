"""What the service knows of studies and work: SQL tables of our own beside the durable engine's.

The engine makes steps happen; the ledger says in which state things are, what came out, and how far the change
log was read. Works on SQLite and PostgreSQL.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from orthanc_plugin.domain.errors import WorkTakenAway
from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.domain.states import ACTIVE, FINAL, State, may_move
from orthanc_plugin.ledger import database as db


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    crashes : how often it took the worker down
    stable_at, queued_at, started_at, finished_at : epoch seconds
    timings : seconds of each stage of the service
    result : the pipeline's result.json once it was checked
    objects : what lies in the archive, one mapping per output: kind, UIDs, Orthanc ids, SHA-256, bytes
    planned : SHA-256 of all that any attempt, on whichever host, set out to store, by SOP Instance UID
    warnings : what the service has to say of the study, as the pipeline's: code and message
    rule, priority : name of the site's rule that let it run, if one did, and its place in the queue, 1 first
    hold : number of the go that has it in hand; who writes with an older number gets ``WorkTakenAway``
    open_starts : goes that began and came to no orderly end, that under way included
    """

    work_id: str
    orthanc_id: str
    study_instance_uid: str
    source_digest: str
    pipeline_digest: str
    state: State
    stable_at: float
    queued_at: float
    reason_code: str | None = None
    reason_message: str | None = None
    crashes: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    timings: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    objects: list[dict[str, Any]] = field(default_factory=list)
    planned: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    rule: str | None = None
    priority: int = 100
    hold: int = 0
    open_starts: int = 0


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study of the work list, with its current work when there is any.

    series : all of the study's when it was last looked at: series_instance_uid, modality, num_instances
    own_series_uids : series that any work wrote into the study
    deliveries : of the current work's objects to other archives: destination, kind, state, attempts, trouble
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
    deliveries: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OverdueStudy:
    """A study without an outcome. since : epoch seconds when it came to rest."""

    orthanc_id: str
    study_instance_uid: str
    since: float


class Ledger:
    """All reads and writes; each method is one transaction."""

    def __init__(self, url: str) -> None:
        self._engine = db.open_database(url)

    @property
    def database(self) -> sa.Engine:
        """For the tables of hosts and deliveries, which lie beside ours."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def cursor(self, name: str) -> int | None:
        with self._engine.begin() as connection:
            return connection.scalar(sa.select(db.cursors.c.value).where(db.cursors.c.name == name))

    def set_cursor(self, name: str, value: int) -> None:
        with self._engine.begin() as connection:
            db.put(connection, db.cursors, {"name": name, "value": value})

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
        with self._engine.begin() as connection:
            db.put(connection, db.series, {"orthanc_id": orthanc_id, "series": facts})

    def note_stable(self, study: StudyFacts) -> float:
        """When the study was first seen stable since it was last seen arriving, in epoch seconds."""
        with self._engine.begin() as connection:
            known = connection.execute(
                sa.select(db.studies).where(db.studies.c.orthanc_id == study.orthanc_id)
            ).one_or_none()
            if known is not None and known.stable_at is not None and known.work_id is None:
                return float(known.stable_at)
        now = time.time()
        self._put_study(study, state=State.WAITING.value, work_id=None, stable_at=now)
        return now

    def forget_study(self, orthanc_id: str) -> None:
        with self._engine.begin() as connection:
            for table in (db.studies, db.series):
                connection.execute(sa.delete(table).where(table.c.orthanc_id == orthanc_id))

    def known_studies(self) -> set[str]:
        with self._engine.begin() as connection:
            return set(connection.scalars(sa.select(db.studies.c.orthanc_id)))

    def add_job(self, study: StudyFacts, job: Job) -> bool:
        """Enter the work unless it is known, and make it the study's current work; true when it is new."""
        current = _study_columns(study, state=State.QUEUED.value, reason=None, work_id=job.work_id)
        with self._engine.begin() as connection:
            is_new = db.insert_once(connection, db.jobs, _as_columns(job))
            db.put(connection, db.studies, current)
        return is_new

    def make_current(self, study: StudyFacts, job: Job) -> None:
        """Have the study stand as *job* does: images that came after it may be gone again."""
        row = self.study_row(study.orthanc_id)
        if row is None or row.job is None or row.job.work_id != job.work_id:
            self._put_study(study, state=State.QUEUED.value, reason=None, work_id=job.work_id)

    def job(self, work_id: str) -> Job:
        with self._engine.begin() as connection:
            return _as_job(connection.execute(sa.select(db.jobs).where(db.jobs.c.work_id == work_id)).one())

    def is_ended(self, work_id: str) -> bool:
        """Whether the work is over; true for work that nobody knows any more."""
        with self._engine.begin() as connection:
            state = connection.scalar(sa.select(db.jobs.c.state).where(db.jobs.c.work_id == work_id))
        return state is None or State(state).is_final

    def jobs_of(self, orthanc_id: str) -> list[Job]:
        return self._select_jobs(db.jobs.c.orthanc_id == orthanc_id)

    def unfinished_jobs(self) -> list[Job]:
        return self._select_jobs(db.jobs.c.state.in_([state.value for state in ACTIVE]))

    def take(self, work_id: str) -> Job:
        """Take the work into hand, out of whoever's it is in."""
        taken = sa.update(db.jobs).where(db.jobs.c.work_id == work_id).values(hold=db.jobs.c.hold + 1)
        with self._engine.begin() as connection:
            return _as_job(connection.execute(taken.returning(*db.jobs.c)).one())

    def held(self, work_id: str, hold: int) -> Job:
        """The work as it stands, for the go that has it in hand."""
        job = self.job(work_id)
        if job.hold != hold:
            raise WorkTakenAway(work_id)
        return job

    def begin(self, job: Job) -> None:
        """Count a start; it stays counted when the host dies, and so nobody calls ``leave``."""
        with self._engine.begin() as connection:
            _write(connection, job, open_starts=db.jobs.c.open_starts + 1)

    def leave(self, job: Job) -> None:
        """Take a start back that came to an orderly end, whosever the work is by now."""
        counted = sa.and_(db.jobs.c.work_id == job.work_id, db.jobs.c.open_starts > 0)
        with self._engine.begin() as connection:
            connection.execute(sa.update(db.jobs).where(counted).values(open_starts=db.jobs.c.open_starts - 1))

    def move(self, job: Job, state: State, **values: Any) -> None:
        """Take the work to *state*, setting further columns along with it."""
        with self._engine.begin() as connection:
            self._move(connection, job, state, **values)

    @staticmethod
    def _move(connection: sa.Connection, job: Job, state: State, **values: Any) -> None:
        # The row stays locked to the end, where the database has such locks, and it is the hold that counts first: what
        # another go made of the work is no defect of ours.
        known = sa.select(db.jobs.c.state, db.jobs.c.hold).where(db.jobs.c.work_id == job.work_id).with_for_update()
        row = connection.execute(known).one()
        before = State(row.state)
        if row.hold == job.hold and not may_move(before, state):
            raise ValueError(f"state: no move leads from {before} to {state}")
        if state.is_final:
            values |= {"finished_at": time.time()}
        _write(connection, job, state=state.value, **values)
        current = db.studies.c.work_id == job.work_id
        connection.execute(sa.update(db.studies).where(current).values(updated_at=time.time()))

    def finish(self, job: Job, deliveries: Iterable[dict[str, Any]]) -> None:
        """Say that the results are in the archive, and in the same breath what has to go to others."""
        with self._engine.begin() as connection:
            self._move(connection, job, State.STORED)
            for delivery in deliveries:
                db.insert_once(connection, db.deliveries, delivery)

    def end(self, job: Job, state: State, *, code: str, message: str) -> None:
        self.move(job, state, reason_code=code, reason_message=message[:1000])

    def requeue(self, work_id: str) -> None:
        """Put finished work back to the start, keeping what is known of its objects.

        Work that another host has put back meanwhile is left as it is.
        """
        now = time.time()
        finished = sa.and_(db.jobs.c.work_id == work_id, db.jobs.c.state.in_([state.value for state in FINAL]))
        again: dict[str, Any] = {"state": State.QUEUED.value, "stable_at": now, "queued_at": now}
        again |= dict.fromkeys(("crashes", "open_starts"), 0)
        again |= dict.fromkeys(("reason_code", "reason_message", "started_at", "finished_at"))
        with self._engine.begin() as connection:
            connection.execute(sa.update(db.jobs).where(finished).values(again))

    def plan(self, job: Job, outputs: Iterable[dict[str, Any]]) -> None:
        """Note the SHA-256 of everything about to be stored, beside what earlier attempts meant to store, by UID."""
        with self._engine.begin() as connection:
            known = sa.select(db.jobs.c.planned).where(db.jobs.c.work_id == job.work_id).with_for_update()
            planned = {uid: list(digests) for uid, digests in connection.execute(known).scalar_one().items()}
            for entry in job.objects:
                planned.setdefault(entry["sop_instance_uid"], [entry["sha256"]])
            for output in outputs:
                digests = planned.setdefault(output["sop_instance_uid"], [])
                if output["sha256"] not in digests:
                    digests.append(output["sha256"])
            _write(connection, job, planned=planned)

    def count_crash(self, job: Job) -> int:
        with self._engine.begin() as connection:
            _write(connection, job, crashes=db.jobs.c.crashes + 1)
        return self.job(job.work_id).crashes

    def add_timing(self, job: Job, stage: str, seconds: float) -> None:
        with self._engine.begin() as connection:
            timings = connection.scalar(sa.select(db.jobs.c.timings).where(db.jobs.c.work_id == job.work_id)) or {}
            _write(connection, job, timings=timings | {stage: round(seconds, 3)})

    def supersede_older(self, job: Job) -> None:
        """Mark the study's finished work on other instances, or by another pipeline, as replaced by *job*."""
        replaced = FINAL - {State.SUPERSEDED}
        older = sa.and_(
            db.jobs.c.orthanc_id == job.orthanc_id,
            db.jobs.c.work_id != job.work_id,
            db.jobs.c.state.in_([state.value for state in replaced]),
        )
        reason = {"reason_code": "newer-work", "reason_message": f"replaced by {job.work_id[:12]}"}
        end = {"state": State.SUPERSEDED.value, "finished_at": time.time()}
        with self._engine.begin() as connection:
            connection.execute(sa.update(db.jobs).where(older).values(reason | end))

    def own_series_uids(self, orthanc_id: str) -> set[str]:
        """Series that we wrote into the study."""
        return _written_by(self.jobs_of(orthanc_id))

    def study_row(self, orthanc_id: str) -> StudyRow | None:
        rows = self._select_rows(db.studies.c.orthanc_id == orthanc_id, limit=1)
        return rows[0] if rows else None

    def work_list(self, limit: int) -> list[StudyRow]:
        """The studies that moved last, newest first."""
        return self._select_rows(sa.true(), limit=limit)

    def count_by_state(self) -> dict[str, int]:
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(db.jobs.c.state, sa.func.count()).group_by(db.jobs.c.state))
            return {state: int(count) for state, count in rows}

    def count_failures_by_code(self) -> dict[str, int]:
        failed = sa.select(db.jobs.c.reason_code, sa.func.count()).where(db.jobs.c.state == State.FAILED.value)
        with self._engine.begin() as connection:
            return {code: int(count) for code, count in connection.execute(failed.group_by(db.jobs.c.reason_code))}

    def count_studies_failed_as(self, code: str) -> int:
        """Studies whose current work failed for this reason."""
        current = db.studies.join(db.jobs, db.studies.c.work_id == db.jobs.c.work_id)
        failed = sa.and_(db.jobs.c.state == State.FAILED.value, db.jobs.c.reason_code == code)
        with self._engine.begin() as connection:
            query = sa.select(sa.func.count()).select_from(current).where(failed)
            return connection.scalar(query) or 0

    def oldest_queued_at(self) -> float | None:
        with self._engine.begin() as connection:
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
        with self._engine.begin() as connection:
            return [OverdueStudy(**row._mapping) for row in connection.execute(query)]

    def earlier_reports(self, job: Job) -> list[dict[str, Any]]:
        """The SR objects of the study's last result before *job*; none for its first."""
        before = [
            other
            for other in self.jobs_of(job.orthanc_id)
            if other.work_id != job.work_id and other.queued_at < job.queued_at and other.objects
        ]
        return [entry for entry in before[-1].objects if entry["kind"] == "SR"] if before else []

    def _put_study(self, study: StudyFacts, **values: Any) -> None:
        with self._engine.begin() as connection:
            db.put(connection, db.studies, _study_columns(study, **values))

    def _select_jobs(self, condition: sa.ColumnElement[bool]) -> list[Job]:
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(db.jobs).where(condition).order_by(db.jobs.c.queued_at))
            return [_as_job(row) for row in rows]

    def _select_rows(self, condition: sa.ColumnElement[bool], *, limit: int) -> list[StudyRow]:
        with_series = db.studies.join(db.series, db.studies.c.orthanc_id == db.series.c.orthanc_id, isouter=True)
        query = sa.select(db.studies, db.series.c.series).select_from(with_series).where(condition)
        with self._engine.begin() as connection:
            studies = connection.execute(query.order_by(db.studies.c.updated_at.desc()).limit(limit)).all()
        jobs = self._select_jobs(db.jobs.c.orthanc_id.in_([study.orthanc_id for study in studies]))
        sent = self._select_deliveries([study.work_id for study in studies if study.work_id is not None])
        return [
            _as_study_row(study, [job for job in jobs if job.orthanc_id == study.orthanc_id], sent) for study in studies
        ]

    def _select_deliveries(self, work_ids: Sequence[str]) -> list[sa.Row[Any]]:
        order = (db.deliveries.c.destination, db.deliveries.c.sop_instance_uid)
        query = sa.select(db.deliveries).where(db.deliveries.c.work_id.in_(work_ids)).order_by(*order)
        with self._engine.begin() as connection:
            return list(connection.execute(query))


def _study_columns(study: StudyFacts, **values: Any) -> dict[str, Any]:
    of_study = {"orthanc_id": study.orthanc_id, "study_instance_uid": study.study_instance_uid}
    return of_study | {"updated_at": time.time()} | values


def _write(connection: sa.Connection, job: Job, **values: Any) -> None:
    """Set columns of the work, if it is still in the hand of the go that read *job*."""
    held = sa.and_(db.jobs.c.work_id == job.work_id, db.jobs.c.hold == job.hold)
    if connection.execute(sa.update(db.jobs).where(held).values(**values)).rowcount == 0:
        raise WorkTakenAway(job.work_id)


def _as_columns(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Job.__slots__} | {"state": job.state.value}


def _as_job(row: sa.Row[Any]) -> Job:
    return Job(**{**row._mapping, "state": State(row.state)})


def _written_by(jobs: Iterable[Job]) -> set[str]:
    return {entry["series_instance_uid"] for job in jobs for entry in job.objects}


def _as_study_row(study: sa.Row[Any], jobs: Sequence[Job], deliveries: Sequence[sa.Row[Any]]) -> StudyRow:
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
        deliveries=[_as_delivery_view(row) for row in deliveries if row.work_id == study.work_id],
    )


def _as_delivery_view(row: sa.Row[Any]) -> dict[str, Any]:
    names = ("destination", "state", "attempts", "trouble")
    return {"kind": row.entry["kind"]} | {name: row._mapping[name] for name in names}
