"""The pieces of work: who may write to each, how far it came, and what came out."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from orthanc_plugin.domain.errors import WorkTakenAway
from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.states import ACTIVE, FINAL, State, may_move
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.domain.text import bounded
from orthanc_plugin.ledger import database as db
from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.pipeline.protocol import MarkedRegion, Revision


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    crashes : how often it took the worker down
    stable_at, queued_at, started_at, finished_at : epoch seconds
    timings : seconds of each stage of the service
    result : what the pipeline said once it was checked
    objects : what lies in the archive
    planned : SHA-256 of all that any attempt, on whichever host, set out to store, by SOP Instance UID
    warnings : what the service has to say of the study, beside the pipeline's
    priors : Orthanc ids of the earlier studies that were to be compared with, whether they came or not; None before
        that is known
    rule, priority : name of the site's rule that let it run, if one did, and its place in the queue, 1 first
    lease : number of the attempt that may write; who writes with an older number gets ``WorkTakenAway``
    open_starts : attempts that began and came to no orderly end, that under way included
    marked : a region that somebody marked, when the work is to store that; then it stands beside the study's own
    revision : a later version of the study's report, when the work is to store that; it stands beside likewise
    read_by : for such work, the study's own that it goes back to
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
    result: Manifest | None = None
    objects: tuple[StoredObject, ...] = ()
    planned: dict[str, list[str]] = field(default_factory=dict)
    warnings: tuple[Notice, ...] = ()
    priors: tuple[str, ...] | None = None
    rule: str | None = None
    priority: int = 100
    lease: int = 0
    open_starts: int = 0
    marked: MarkedRegion | None = None
    revision: Revision | None = None
    read_by: str | None = None

    @property
    def is_beside(self) -> bool:
        """Whether it stands beside the study's own work and replaces none of it."""
        return self.marked is not None or self.revision is not None


@dataclass(frozen=True, slots=True)
class PlannedCopy:
    """An object that is to go to another archive. due_at : epoch seconds."""

    work_id: str
    destination: str
    stored: StoredObject
    due_at: float


class Jobs:
    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def add(self, study: StudyFacts, job: Job) -> bool:
        """Enter the work unless it is known, and make it the study's current work; true when it is new."""
        with self._database.begin() as connection:
            is_new = db.insert_once(connection, db.jobs, _as_columns(job))
            put_study(connection, study, state=State.QUEUED.value, reason=None, work_id=job.work_id)
        return is_new

    def add_beside(self, job: Job) -> bool:
        """Enter work that leaves the study's current work as it is; true when it is new."""
        with self._database.begin() as connection:
            return db.insert_once(connection, db.jobs, _as_columns(job))

    def read(self, work_id: str) -> Job:
        with self._database.begin() as connection:
            return _as_job(connection.execute(sa.select(db.jobs).where(db.jobs.c.work_id == work_id)).one())

    def is_ended(self, work_id: str) -> bool:
        """Whether the work is over; true for work that nobody knows any more."""
        with self._database.begin() as connection:
            state = connection.scalar(sa.select(db.jobs.c.state).where(db.jobs.c.work_id == work_id))
        return state is None or State(state).is_final

    def of_studies(self, orthanc_ids: Sequence[str]) -> list[Job]:
        return self._select(db.jobs.c.orthanc_id.in_(orthanc_ids))

    def of_study(self, orthanc_id: str) -> list[Job]:
        return self.of_studies([orthanc_id])

    def unfinished(self) -> list[Job]:
        return self._select(db.jobs.c.state.in_([state.value for state in ACTIVE]))

    def own_series_uids(self, orthanc_id: str) -> set[str]:
        """Series that we wrote into the study."""
        return series_written_by(self.of_study(orthanc_id))

    def earlier_reports(self, job: Job) -> list[StoredObject]:
        """The SR objects of the study's last result before *job*; none for its first."""
        before = [
            other
            for other in self.of_study(job.orthanc_id)
            if not other.is_beside
            and other.work_id != job.work_id
            and other.queued_at < job.queued_at
            and other.objects
        ]
        return [stored for stored in before[-1].objects if stored.kind == "SR"] if before else []

    def take_lease(self, work_id: str) -> Job:
        """Take the lease on the work from whoever holds it."""
        taken = sa.update(db.jobs).where(db.jobs.c.work_id == work_id).values(lease=db.jobs.c.lease + 1)
        with self._database.begin() as connection:
            return _as_job(connection.execute(taken.returning(*db.jobs.c)).one())

    def leased(self, work_id: str, lease: int) -> Job:
        """The work as it stands, for the attempt that has the lease."""
        job = self.read(work_id)
        if job.lease != lease:
            raise WorkTakenAway(work_id)
        return job

    def begin_attempt(self, job: Job) -> None:
        """Count a start; it stays counted when the host dies, and so nobody calls ``end_attempt``."""
        with self._database.begin() as connection:
            _write(connection, job, open_starts=db.jobs.c.open_starts + 1)

    def end_attempt(self, job: Job) -> None:
        """Uncount a start that came to an orderly end, whoever has the lease by now."""
        counted = sa.and_(db.jobs.c.work_id == job.work_id, db.jobs.c.open_starts > 0)
        with self._database.begin() as connection:
            connection.execute(sa.update(db.jobs).where(counted).values(open_starts=db.jobs.c.open_starts - 1))

    def move(self, job: Job, state: State) -> None:
        """Take the work to *state*."""
        with self._database.begin() as connection:
            self._move(connection, job, state)

    def start(self, job: Job) -> None:
        """Take the work to ``RUNNING`` and say since when."""
        with self._database.begin() as connection:
            self._move(connection, job, State.RUNNING, started_at=time.time())

    def keep_result(self, job: Job, state: State, result: Manifest | None) -> None:
        """Take the work to *state* with what the pipeline said of it."""
        with self._database.begin() as connection:
            self._move(connection, job, state, result=_dumped(result))

    def keep_objects(self, job: Job, objects: Iterable[StoredObject]) -> None:
        """Say which objects lie in the archive."""
        with self._database.begin() as connection:
            self._move(connection, job, State.STORING, objects=[asdict(stored) for stored in objects])

    def finish(self, job: Job, copies: Iterable[PlannedCopy]) -> None:
        """Say that the results are in the archive, and in the same transaction what has to go to others."""
        with self._database.begin() as connection:
            self._move(connection, job, State.STORED)
            for copy in copies:
                db.insert_once(connection, db.deliveries, _copy_columns(copy))

    def end(self, job: Job, state: State, *, code: str, message: str) -> None:
        reason_code, reason_message = bounded(code, db.CODE_LENGTH), bounded(message, db.MESSAGE_LENGTH)
        with self._database.begin() as connection:
            self._move(connection, job, state, reason_code=reason_code, reason_message=reason_message)

    @staticmethod
    def _move(connection: sa.Connection, job: Job, state: State, **values: Any) -> None:
        # The row stays locked to the end, where the database has such locks, and it is the lease that counts first:
        # what another attempt made of the work is no defect of ours.
        known = sa.select(db.jobs.c.state, db.jobs.c.lease).where(db.jobs.c.work_id == job.work_id).with_for_update()
        row = connection.execute(known).one()
        before = State(row.state)
        if row.lease == job.lease and not may_move(before, state):
            raise ValueError(f"state: no move leads from {before} to {state}")
        if state.is_final:
            values |= {"finished_at": time.time()}
        _write(connection, job, state=state.value, **values)
        current = db.studies.c.work_id == job.work_id
        connection.execute(sa.update(db.studies).where(current).values(updated_at=time.time()))

    def requeue(self, work_id: str) -> None:
        """Put finished work back to the start, keeping what is known of its objects.

        Work that another host has put back meanwhile is left as it is.
        """
        now = time.time()
        finished = sa.and_(db.jobs.c.work_id == work_id, db.jobs.c.state.in_([state.value for state in FINAL]))
        again: dict[str, Any] = {"state": State.QUEUED.value, "stable_at": now, "queued_at": now}
        again |= dict.fromkeys(("crashes", "open_starts"), 0)
        again |= dict.fromkeys(("reason_code", "reason_message", "started_at", "finished_at"))
        with self._database.begin() as connection:
            connection.execute(sa.update(db.jobs).where(finished).values(again))

    def plan(self, job: Job, sha256_by_uid: Mapping[str, str]) -> None:
        """Note the SHA-256 of everything about to be stored, beside what earlier attempts meant to store, by UID."""
        with self._database.begin() as connection:
            known = sa.select(db.jobs.c.planned).where(db.jobs.c.work_id == job.work_id).with_for_update()
            planned = {uid: list(digests) for uid, digests in connection.execute(known).scalar_one().items()}
            for stored in job.objects:
                planned.setdefault(stored.sop_instance_uid, [stored.sha256])
            for uid, sha256 in sha256_by_uid.items():
                digests = planned.setdefault(uid, [])
                if sha256 not in digests:
                    digests.append(sha256)
            _write(connection, job, planned=planned)

    def note_priors(self, job: Job, priors: Iterable[str], *, warnings: Iterable[Notice]) -> None:
        """Keep which earlier studies the work knows of, and what the service has to say of the study."""
        said = [asdict(warning) for warning in warnings]
        with self._database.begin() as connection:
            _write(connection, job, priors=list(priors), warnings=said)

    def count_crash(self, job: Job) -> int:
        with self._database.begin() as connection:
            _write(connection, job, crashes=db.jobs.c.crashes + 1)
        return self.read(job.work_id).crashes

    def add_timing(self, job: Job, stage: str, seconds: float) -> None:
        with self._database.begin() as connection:
            timings = connection.scalar(sa.select(db.jobs.c.timings).where(db.jobs.c.work_id == job.work_id)) or {}
            _write(connection, job, timings=timings | {stage: round(seconds, 3)})

    def supersede_older(self, job: Job) -> None:
        """Mark the study's finished work on other instances, or by another pipeline, as replaced by *job*."""
        replaced = FINAL - {State.SUPERSEDED}
        older = sa.and_(
            db.jobs.c.orthanc_id == job.orthanc_id,
            db.jobs.c.work_id != job.work_id,
            db.jobs.c.read_by.is_(None),
            db.jobs.c.state.in_([state.value for state in replaced]),
        )
        reason = {"reason_code": "newer-work", "reason_message": f"replaced by {job.work_id[:12]}"}
        end = {"state": State.SUPERSEDED.value, "finished_at": time.time()}
        with self._database.begin() as connection:
            connection.execute(sa.update(db.jobs).where(older).values(reason | end))

    def _select(self, condition: sa.ColumnElement[bool]) -> list[Job]:
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(db.jobs).where(condition).order_by(db.jobs.c.queued_at))
            return [_as_job(row) for row in rows]


def put_study(connection: sa.Connection, study: StudyFacts, **values: Any) -> None:
    of_study = {"orthanc_id": study.orthanc_id, "study_instance_uid": study.study_instance_uid}
    db.put(connection, db.studies, of_study | {"updated_at": time.time()} | values)


def series_written_by(jobs: Iterable[Job]) -> set[str]:
    return {stored.series_instance_uid for job in jobs for stored in job.objects}


def _write(connection: sa.Connection, job: Job, **values: Any) -> None:
    """Set columns of the work, if the attempt that read *job* still has the lease."""
    leased = sa.and_(db.jobs.c.work_id == job.work_id, db.jobs.c.lease == job.lease)
    if connection.execute(sa.update(db.jobs).where(leased).values(**values)).rowcount == 0:
        raise WorkTakenAway(job.work_id)


def _as_columns(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Job.__slots__} | {
        "state": job.state.value,
        "result": _dumped(job.result),
        "objects": [asdict(stored) for stored in job.objects],
        "warnings": [asdict(warning) for warning in job.warnings],
        "marked": None if job.marked is None else job.marked.model_dump(mode="json"),
        "revision": None if job.revision is None else job.revision.model_dump(mode="json"),
    }


def _as_job(row: sa.Row[Any]) -> Job:
    stored_as = row._mapping  # made anew each time that it is asked for
    columns = {name: stored_as[name] for name in Job.__slots__} | {
        "state": State(row.state),
        "result": _loaded(row.result),
        "objects": tuple(StoredObject(**stored) for stored in row.objects),
        "warnings": tuple(Notice(**warning) for warning in row.warnings),
        "priors": None if row.priors is None else tuple(row.priors),
        "marked": None if row.marked is None else MarkedRegion.model_validate(row.marked),
        "revision": None if row.revision is None else Revision.model_validate(row.revision),
    }
    return Job(**columns)


def _copy_columns(copy: PlannedCopy) -> dict[str, Any]:
    return {
        "sop_instance_uid": copy.stored.sop_instance_uid, "destination": copy.destination, "work_id": copy.work_id,
        "entry": asdict(copy.stored), "state": db.PENDING, "attempts": 0, "due_at": copy.due_at, "trouble": None,
    }  # fmt: skip


def _dumped(result: Manifest | None) -> dict[str, Any] | None:
    return None if result is None else result.model_dump(mode="json")


def _loaded(result: dict[str, Any] | None) -> Manifest | None:
    try:
        return None if result is None else Manifest.model_validate(result)
    except ValidationError:
        # Of a version that wrote it otherwise: the work stands, what it said is not shown.
        return None
