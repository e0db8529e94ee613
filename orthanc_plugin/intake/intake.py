"""What wakes the service up, and what it decides about a study.

Three sources, all idempotent: the plugin's nudge (fast), Orthanc's change log (catches a lost nudge), and a sweep
over all studies at the start and now and then (catches what neither had). Each only says "look at this study".
"""

import contextlib
import queue
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import (
    ArchiveDeniedError,
    ArchiveError,
    ArchiveFileDamagedError,
    ArchiveNotUnderstoodError,
    ArchiveUnavailableError,
    ResourceGoneError,
    ServiceStopping,
    StudyCollisionError,
    WorkTakenAway,
)
from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.source import (
    Source,
    is_backlog,
    missing_instances,
    remaining_quiet_seconds,
    select_source,
    work_identity,
)
from orthanc_plugin.domain.states import State
from orthanc_plugin.intake.changes import ChangeLog
from orthanc_plugin.intake.late_priors import LatePriors
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.ledger.local_faults import is_local_fault
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.site.rules import Candidate, SiteRule, SiteVerdict, judge
from orthanc_plugin.work.engine import DurableEngine

_log = structlog.get_logger("curia.intake")


FORCED_PRIORITY = 1
"""Somebody asked and waits."""
PASSING_FAILURES = frozenset(
    {
        ArchiveUnavailableError.code,
        ArchiveNotUnderstoodError.code,
        ArchiveDeniedError.code,
        ArchiveFileDamagedError.code,
        StudyCollisionError.code,
    }
)
"""What the archive's keepers may mend without our being told."""
CONTACT_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 30.0
"""Seconds until the next look at a study that could not be looked at."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The wish to look at a study, or (None) at the change log only. forced : run it whatever was done before."""

    study_id: str | None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """When studies are looked at, as the settings of the same names say."""

    quiet_seconds: float
    incomplete_seconds: float
    poll_seconds: float
    sweep_seconds: float
    backlog_days: float


class Intake:
    """One thread that looks at studies when they are due and turns them into work.

    reader : name of this host, under which it keeps how far it read the change log
    late_priors : None where the site leaves a study alone whose earlier ones come later
    """

    def __init__(
        self,
        timing: Timing,
        *,
        rules: Sequence[SiteRule],
        reader: str,
        client: OrthancClient,
        ledger: Ledger,
        engine: DurableEngine,
        workers: WorkerPool,
        wishes: "queue.SimpleQueue[Wish]",
        stop: threading.Event,
        late_priors: LatePriors | None = None,
    ) -> None:
        self._timing = timing
        self._rules = rules
        self._client = client
        self._ledger = ledger
        self._engine = engine
        self._workers = workers
        self._stop = stop
        self._changes = ChangeLog(client, ledger.cursors, reader=reader)
        self._wishes = wishes
        self._due: dict[str, float] = {}
        self._put_off: dict[str, float] = {}
        self._forced: set[str] = set()
        self._late_priors = late_priors
        self._has_new_prior: set[str] = set()
        self._told_later: dict[str, datetime] = {}
        self._next_sweep = 0.0
        self.last_contact: float | None = None

    @property
    def is_in_contact(self) -> bool:
        """Whether Orthanc was heard of late."""
        is_late = time.time() - (self.last_contact or 0.0) > max(CONTACT_SECONDS, 3 * self._timing.poll_seconds)
        return self.last_contact is not None and not is_late

    def nudge(self, study_id: str | None = None) -> None:
        self._wishes.put(Wish(study_id))

    def force(self, study_id: str) -> None:
        """Have the study run, or its results verified and restored, though nothing changed."""
        self._wishes.put(Wish(study_id, forced=True))

    def run(self) -> None:
        """Look around until the service stops."""
        while not self._stop.is_set():
            try:
                self._look_around()
            except ServiceStopping:
                return
            except ArchiveError as error:
                _log.warning("Orthanc out of reach", reason=str(error))
                self._next_sweep = 0.0
            except Exception as error:
                if not is_local_fault(error):
                    raise
                _log.error("disk or database out of reach", reason=type(error).__name__)
                # The study that was being looked at is found again.
                self._next_sweep = 0.0
                self._stop.wait(1.0)
            self._await_wish()

    def _look_around(self) -> None:
        self._read_changes()
        if time.monotonic() >= self._next_sweep:
            self._sweep()
            self._next_sweep = time.monotonic() + self._timing.sweep_seconds
        self.last_contact = time.time()
        for study_id in [study_id for study_id in self._due if self._due_at(study_id) <= time.monotonic()]:
            if not self._look_safely_at(study_id):
                return

    def _due_at(self, study_id: str) -> float:
        return max(self._due[study_id], self._put_off.get(study_id, 0.0))

    def _look_safely_at(self, study_id: str) -> bool:
        """Whether the round may go on: one study that cannot be looked at holds no other up for long."""
        del self._due[study_id]
        self._put_off.pop(study_id, None)
        try:
            with self._apart(study_id):
                self._look_at(study_id)
        except ArchiveUnavailableError as error:
            # Whether that is the study's or Orthanc's own fault, the next look at the change log tells.
            _log.warning("study not to be looked at", study=study_id, code=error.code, reason=str(error))
            self._put_study_off(study_id)
            return False
        except ArchiveError as error:
            _log.error("study not to be looked at", study=study_id, code=error.code, reason=str(error))
            self._put_study_off(study_id)
        return True

    @contextlib.contextmanager
    def _apart(self, study_id: str) -> Iterator[None]:
        """No defect that is met in one study may end the watch over all others."""
        try:
            yield
        except ArchiveError:
            raise
        except Exception as error:
            if is_local_fault(error):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            _log.error("study put off", study=study_id, kind=kind, where=f"{where.filename}:{where.lineno}")
            self._put_study_off(study_id)

    def _put_study_off(self, study_id: str) -> None:
        self._put_off[study_id] = self._due[study_id] = time.monotonic() + LOOK_AGAIN_SECONDS

    def _await_wish(self) -> None:
        """Sleep until somebody nudges, a study is due or the change log is to be read again."""
        until = min([time.monotonic() + self._timing.poll_seconds, *map(self._due_at, self._due)])
        try:
            self._take(self._wishes.get(timeout=max(0.05, until - time.monotonic())))
            while True:
                self._take(self._wishes.get_nowait())
        except queue.Empty:
            return

    def _take(self, wish: Wish) -> None:
        if wish.study_id is None:
            return
        self._due[wish.study_id] = 0.0
        if wish.forced:
            self._put_off.pop(wish.study_id, None)
            self._forced.add(wish.study_id)

    def _read_changes(self) -> None:
        if self.last_contact is None:
            self._changes.rewind_if_replaced()
        for study_ids in self._changes.read():
            self._due |= dict.fromkeys(study_ids, 0.0)

    def _sweep(self) -> None:
        """Every study that changed of late; also mend what ledger and engine disagree on."""
        now = self._client.now()
        present = set()
        for study in self._client.studies():
            present.add(study.orthanc_id)
            if not is_backlog(study, now=now, backlog_days=self._timing.backlog_days):
                self._due[study.orthanc_id] = 0.0
        for study_id in self._ledger.studies.known() - present:
            self._ledger.studies.forget(study_id)
        for job in self._ledger.jobs.unfinished():
            with self._apart(job.orthanc_id):
                self._mend(job)
        _log.info("sweep", studies=len(present), due=len(self._due))

    def _mend(self, job: Job) -> None:
        if self._engine.is_lost(job.work_id):
            message = "the service met an error it did not foresee; its log says which"
            with contextlib.suppress(WorkTakenAway):
                self._ledger.jobs.end(job, State.FAILED, code="internal-error", message=message)
        else:
            self._engine.ensure(job.work_id, priority=job.priority)

    def _look_at(self, study_id: str) -> None:
        """Decide about one study; it stays due as long as it is not at rest or no pipeline is ready."""
        try:
            study = self._client.study(study_id)
            series = self._client.series(study_id)
        except ResourceGoneError:
            self._ledger.studies.forget(study_id)
            return
        self._ledger.studies.note_series(study_id, series)
        if study.defect is not None:
            self._set_aside(study, study.defect)
            return
        source = select_source(series, self._ledger.jobs.own_series_uids(study_id), demographics=study.demographics)
        if study_id in self._forced:
            self._decide_forced(study, source)
        elif (job := self._standing_job(study_id, source)) is not None:
            self._ledger.studies.make_current(study, job)
            self._follow_up(study, source, job)
        else:
            self._decide(study, source)
        if source is not None:
            self._tell_later_studies(study)

    def _tell_later_studies(self, study: StudyFacts) -> None:
        """Have the patient's later studies looked at, as soon as this one is at rest, and again when it changed.

        What goes wrong with that is not this study's fault; the next sweep tries again.
        """
        if self._late_priors is None or self._told_later.get(study.orthanc_id) == study.last_update:
            return
        try:
            now = self._client.now()
            if remaining_quiet_seconds(study, now=now, quiet_seconds=self._timing.quiet_seconds) != 0:
                return
            later = self._late_priors.later_than(study)
        except ArchiveError as error:
            _log.warning("later studies not to be looked for", study=study.orthanc_id, reason=str(error))
            return
        self._told_later[study.orthanc_id] = study.last_update
        self._has_new_prior.update(later)
        self._due |= dict.fromkeys(later, 0.0)

    def _follow_up(self, study: StudyFacts, source: Source | None, job: Job) -> None:
        """Run a study that is done once more, where an earlier one came that it did not know; else leave it.

        The work is named after the earlier studies, so that each set of them is followed up once, whoever saw them.
        """
        if self._late_priors is None or source is None or study.orthanc_id not in self._has_new_prior:
            return
        if not job.state.is_final:
            self._due[study.orthanc_id] = time.monotonic() + LOOK_AGAIN_SECONDS
            return
        self._has_new_prior.discard(study.orthanc_id)
        wanted = self._late_priors.unknown_to(job, source) if job.state is State.STORED else ()
        verdict = judge(self._rules, self._candidate(study, source))
        if not wanted or not verdict.run:
            return
        if verdict.wait_seconds > 0:
            self._has_new_prior.add(study.orthanc_id)
            self._due[study.orthanc_id] = time.monotonic() + verdict.wait_seconds
            return
        again = _new_job(study, source, pipeline_digest=job.pipeline_digest, stable_at=time.time(), late_priors=wanted)
        again = replace(again, warnings=job.warnings, rule=verdict.rule, priority=verdict.priority)
        if all(known.work_id != again.work_id for known in self._ledger.jobs.of_study(study.orthanc_id)):
            self._ledger.jobs.add(study, again)
            self._engine.ensure(again.work_id, priority=again.priority)
            _log.info("follow-up queued", work=again.work_id[:12], priors=len(wanted))

    def _set_aside(self, study: StudyFacts, reason: str) -> None:
        self._ledger.studies.note(study, State.FAILED, reason=f"set aside: {reason}")
        self._forced.discard(study.orthanc_id)

    def _standing_job(self, study_id: str, source: Source | None) -> Job | None:
        """The work that dealt with the study's present images, or is dealing with them."""
        if source is None:
            return None
        jobs = reversed(self._ledger.jobs.of_study(study_id))
        own = (job for job in jobs if not job.is_beside and job.source_digest == source.digest)
        return next((job for job in own if self._stands(job)), None)

    def _stands(self, job: Job) -> bool:
        """An outcome stands, whichever pipeline gave it; a failure only until pipeline or archive are others."""
        identity = self._workers.identity
        if job.state is State.FAILED and job.reason_code in PASSING_FAILURES:
            return False
        if job.state is State.FAILED:
            return identity is None or job.pipeline_digest == identity.pipeline_digest
        return job.state is not State.SUPERSEDED

    def _decide(self, study: StudyFacts, source: Source | None) -> None:
        missing = 0 if source is None else missing_instances(source)
        quiet_seconds = self._timing.quiet_seconds
        if missing:
            quiet_seconds = max(quiet_seconds, self._timing.incomplete_seconds)
        remaining = remaining_quiet_seconds(study, now=self._client.now(), quiet_seconds=quiet_seconds)
        if remaining is None:
            # Its stable event, a nudge or the sweep brings it back.
            self._ledger.studies.note(study, State.WAITING, reason="still arriving")
        elif source is None:
            self._ledger.studies.note(study, State.NOT_APPLICABLE, reason="the study has no CT or MR images")
        elif remaining > 0:
            self._rest(study, remaining, missing=missing)
        else:
            self._apply_rules(study, source, missing=missing)

    def _rest(self, study: StudyFacts, seconds: float, *, missing: int) -> None:
        if missing:
            self._ledger.studies.note(study, State.WAITING, reason=_incomplete(missing))
        else:
            self._ledger.studies.note_stable(study)
        self._due[study.orthanc_id] = time.monotonic() + seconds

    def _apply_rules(self, study: StudyFacts, source: Source, *, missing: int) -> None:
        if self._ledger.studies.was_brought(study.study_instance_uid):
            reason = "brought from another archive to compare with; run it by hand to have it read"
            self._ledger.studies.note(study, State.NOT_APPLICABLE, reason=reason)
            return
        verdict = judge(self._rules, self._candidate(study, source))
        if not verdict.run:
            self._ledger.studies.note(study, State.NOT_APPLICABLE, reason=f"left alone by the rule {verdict.rule}")
        elif verdict.wait_seconds > 0:
            self._ledger.studies.note(study, State.WAITING, reason=f"held back by the rule {verdict.rule}")
            self._due[study.orthanc_id] = time.monotonic() + verdict.wait_seconds
        else:
            warnings = (Notice("study-incomplete", _incomplete(missing)),) if missing else ()
            self._queue(study, source, verdict, warnings)

    def _candidate(self, study: StudyFacts, source: Source) -> Candidate:
        senders: set[str] = set()
        if any(rule.calling_aet is not None for rule in self._rules):
            firsts = [one.instance_ids[0] for one in source.series if one.instance_ids]
            senders = {sender for first in firsts if (sender := self._client.calling_aet(first)) is not None}
        at_rest, now = study.last_update.astimezone(), datetime.now().astimezone()
        return Candidate(study, source.series, frozenset(senders), at_rest=at_rest, now=now)

    def _decide_forced(self, study: StudyFacts, source: Source | None) -> None:
        if source is None:
            self._ledger.studies.note(study, State.NOT_APPLICABLE, reason="the study has no CT or MR images")
            self._forced.discard(study.orthanc_id)
        else:
            standing = self._standing_job(study.orthanc_id, source)
            self._queue(study, source, SiteVerdict(priority=FORCED_PRIORITY), (), standing=standing)

    def _queue(
        self,
        study: StudyFacts,
        source: Source,
        verdict: SiteVerdict,
        warnings: tuple[Notice, ...],
        *,
        standing: Job | None = None,
    ) -> None:
        """standing : what the present pipeline made of the present images, a follow-up perhaps, to be done again"""
        stable_at = self._ledger.studies.note_stable(study)
        identity = self._workers.identity
        if identity is None:
            self._due[study.orthanc_id] = time.monotonic() + 1.0
            return
        if standing is not None and standing.pipeline_digest == identity.pipeline_digest:
            job = standing
        else:
            job = _new_job(study, source, pipeline_digest=identity.pipeline_digest, stable_at=stable_at)
        job = replace(job, warnings=warnings, rule=verdict.rule, priority=verdict.priority)
        is_new = self._ledger.jobs.add(study, job)
        if not is_new and self._ledger.jobs.read(job.work_id).state.is_final:
            self._ledger.jobs.requeue(job.work_id)
        self._engine.ensure(job.work_id, priority=job.priority)
        self._forced.discard(study.orthanc_id)
        _log.info("queued", work=job.work_id[:12], new=is_new, instances=len(source.instance_ids))


def _incomplete(missing: int) -> str:
    return f"{missing} image{'' if missing == 1 else 's'} fewer came than the modality told"


def _new_job(
    study: StudyFacts,
    source: Source,
    *,
    pipeline_digest: str,
    stable_at: float,
    late_priors: tuple[str, ...] = (),
) -> Job:
    work_id = work_identity(
        study_instance_uid=study.study_instance_uid,
        source_digest=source.digest,
        pipeline_digest=pipeline_digest,
        late_priors=late_priors,
    )
    return Job(
        work_id=work_id,
        orthanc_id=study.orthanc_id,
        study_instance_uid=study.study_instance_uid,
        source_digest=source.digest,
        pipeline_digest=pipeline_digest,
        state=State.QUEUED,
        stable_at=stable_at,
        queued_at=time.time(),
    )
