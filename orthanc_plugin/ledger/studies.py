"""The studies that were seen, how each stands, and the rows of the work list."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from orthanc_plugin.domain.facts import KnownSeries, SeriesFacts, StudyFacts
from orthanc_plugin.domain.states import State
from orthanc_plugin.domain.text import bounded
from orthanc_plugin.ledger import database as db
from orthanc_plugin.ledger.jobs import Job, Jobs, put_study, series_written_by

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CopyState:
    """How it stands with one object's copy for another archive. trouble : why it is not there yet."""

    kind: str
    destination: str
    state: str
    attempts: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study of the work list, with its current work when there is any.

    series : all of the study's when it was last looked at
    own_series_uids : series that any work wrote into the study
    copies : of the current work's objects
    marked : the work on regions that people marked, the oldest first
    revised : the work on later versions of its reports, likewise
    """

    orthanc_id: str
    study_instance_uid: str
    state: State
    reason: str | None
    stable_at: float | None
    updated_at: float
    job: Job | None
    series: tuple[KnownSeries, ...]
    own_series_uids: frozenset[str]
    copies: tuple[CopyState, ...]
    marked: tuple[Job, ...] = ()
    revised: tuple[Job, ...] = ()


class Studies:
    def __init__(self, database: sa.Engine, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def note(self, study: StudyFacts, state: State, *, reason: str | None = None) -> None:
        """Say how a study without current work stands."""
        said = None if reason is None else bounded(reason, db.REASON_LENGTH)
        self._put(study, state=state.value, reason=said, work_id=None, stable_at=None)

    def note_brought(self, study_instance_uid: str) -> None:
        """Say that a study is about to come because we asked another archive for it."""
        with self._database.begin() as connection:
            db.put(connection, db.brought, {"study_instance_uid": study_instance_uid, "at": time.time()})

    def was_brought(self, study_instance_uid: str) -> bool:
        """Whether we asked another archive for a study, ever."""
        with self._database.connect() as connection:
            asked = sa.select(db.brought).where(db.brought.c.study_instance_uid == study_instance_uid)
            return connection.execute(asked).first() is not None

    def note_series(self, orthanc_id: str, series: Iterable[SeriesFacts]) -> None:
        """Keep which series the study has, those that are not read among them."""
        known = [
            asdict(KnownSeries(one.series_instance_uid, one.modality, num_instances=len(one.instance_ids)))
            for one in series
        ]
        with self._database.begin() as connection:
            db.put(connection, db.series, {"orthanc_id": orthanc_id, "series": known})

    def note_stable(self, study: StudyFacts) -> float:
        """When the study was first seen stable since it was last seen arriving, in epoch seconds."""
        with self._database.begin() as connection:
            known = connection.execute(
                sa.select(db.studies).where(db.studies.c.orthanc_id == study.orthanc_id)
            ).one_or_none()
            if known is not None and known.stable_at is not None and known.work_id is None:
                return float(known.stable_at)
        now = time.time()
        self._put(study, state=State.WAITING.value, work_id=None, stable_at=now)
        return now

    def make_current(self, study: StudyFacts, job: Job) -> None:
        """Have the study stand as *job* does: images that came after it may be gone again."""
        row = self.row(study.orthanc_id)
        if row is None or row.job is None or row.job.work_id != job.work_id:
            self._put(study, state=State.QUEUED.value, reason=None, work_id=job.work_id)

    def forget(self, orthanc_id: str) -> None:
        with self._database.begin() as connection:
            for table in (db.studies, db.series):
                connection.execute(sa.delete(table).where(table.c.orthanc_id == orthanc_id))

    def known(self) -> set[str]:
        """Orthanc ids of all studies that were seen."""
        with self._database.begin() as connection:
            return set(connection.scalars(sa.select(db.studies.c.orthanc_id)))

    def row(self, orthanc_id: str) -> StudyRow | None:
        rows = self._select(db.studies.c.orthanc_id == orthanc_id, limit=1)
        return rows[0] if rows else None

    def work_list(self, limit: int, *, since: float = 0.0) -> list[StudyRow]:
        """The studies that moved last, newest first. since : epoch seconds from which on they moved"""
        return self._select(db.studies.c.updated_at >= since, limit=limit)

    def _put(self, study: StudyFacts, **values: Any) -> None:
        with self._database.begin() as connection:
            put_study(connection, study, **values)

    def _select(self, condition: sa.ColumnElement[bool], *, limit: int) -> list[StudyRow]:
        with_series = db.studies.join(db.series, db.studies.c.orthanc_id == db.series.c.orthanc_id, isouter=True)
        query = sa.select(db.studies, db.series.c.series).select_from(with_series).where(condition)
        with self._database.begin() as connection:
            studies = connection.execute(query.order_by(db.studies.c.updated_at.desc()).limit(limit)).all()
        jobs = self._jobs.of_studies([study.orthanc_id for study in studies])
        copies = self._select_copies([study.work_id for study in studies if study.work_id is not None])
        jobs_of, copies_of = _grouped(jobs, lambda job: job.orthanc_id), _grouped(copies, lambda copy: copy.work_id)
        return [_as_row(study, jobs_of[study.orthanc_id], copies_of[study.work_id]) for study in studies]

    def _select_copies(self, work_ids: Sequence[str]) -> list[sa.Row[Any]]:
        order = (db.deliveries.c.destination, db.deliveries.c.sop_instance_uid)
        query = sa.select(db.deliveries).where(db.deliveries.c.work_id.in_(work_ids)).order_by(*order)
        with self._database.begin() as connection:
            return list(connection.execute(query))


def _grouped(rows: Iterable[T], key: Callable[[T], str | None]) -> dict[str | None, list[T]]:
    """Each group in the order of the rows; one that no row belongs to is empty."""
    groups: dict[str | None, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _as_row(study: sa.Row[Any], jobs: Sequence[Job], copies: Sequence[sa.Row[Any]]) -> StudyRow:
    job = next((job for job in jobs if job.work_id == study.work_id), None)
    return StudyRow(
        orthanc_id=study.orthanc_id,
        study_instance_uid=study.study_instance_uid,
        state=job.state if job is not None else State(study.state),
        reason=study.reason if job is None else job.reason_message,
        stable_at=study.stable_at if job is None else job.stable_at,
        updated_at=study.updated_at,
        job=job,
        series=tuple(KnownSeries(**one) for one in study.series or ()),
        own_series_uids=frozenset(series_written_by(jobs)),
        marked=tuple(job for job in jobs if job.marked is not None),
        revised=tuple(job for job in jobs if job.revision is not None),
        copies=tuple(_as_copy_state(copy) for copy in copies),
    )


def _as_copy_state(row: sa.Row[Any]) -> CopyState:
    return CopyState(row.entry["kind"], row.destination, row.state, row.attempts, row.trouble)
