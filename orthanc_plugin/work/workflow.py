"""What happens to one piece of work, step by step: fetch, run, check, store, finish.

Every step may be cut off anywhere and done again: a download becomes the source folder, and a run the result
folder, by a rename at its end, and uploads repeat the same bytes. What has a result on disk is never computed
again.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from orthanc_plugin.archive.delivery import are_in_archive, deliver
from orthanc_plugin.archive.filing import refuse_other_filing
from orthanc_plugin.archive.labels import Label, show_label
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.copies.outbox import planned_copies
from orthanc_plugin.domain.errors import (
    ArchiveUnavailableError,
    DeliveryError,
    ResourceGoneError,
    ServiceError,
    ServiceStopping,
    StudyCollisionError,
    TornResultError,
    WorkerCrashError,
    WorkOutdatedError,
    WorkTakenAway,
)
from orthanc_plugin.domain.source import Source, select_source
from orthanc_plugin.domain.states import State
from orthanc_plugin.domain.stored_object import StoredObject
from orthanc_plugin.ledger.jobs import Job, Jobs
from orthanc_plugin.pipeline.manifest import Manifest, Output, read_manifest, read_result
from orthanc_plugin.pipeline.protocol import (
    EXIT_DONE,
    EXIT_NOT_APPLICABLE,
    EXIT_OUTPUT,
    EXIT_RESOURCE,
    MarkedRegion,
    MarkRequest,
    ReadRequest,
    Reply,
    ReviseRequest,
    Revision,
)
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.service_log import StudyNames
from orthanc_plugin.site.destinations import Destination
from orthanc_plugin.work.attempts import refuse_deadly
from orthanc_plugin.work.encoding import read_for_features
from orthanc_plugin.work.engine import Step
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.leftovers import Leftovers
from orthanc_plugin.work.priors import PRIOR, Priors
from orthanc_plugin.work.source_files import SourceFiles
from orthanc_plugin.work.whole_folder import whole_folder

MAX_CRASHES = 3
MAX_RESOURCE_RETRIES = 5
RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0)

EXIT_REASONS = {
    1: "the pipeline met a defect of its own; its log says which",
    2: "the pipeline did not understand how it was called",
    3: "nothing in the study suits the pipeline",
    4: "the study cannot be read",
    5: "the model or the deployment is wrong",
    6: "memory, device memory or disk ran out each time the study was tried",
    7: "a result failed its own check",
}

_log = structlog.get_logger("curia.workflow")


class StudyWorkflow:
    """The steps; each takes a work id and the attempt's lease, and gives the state that the work is in then.

    look_again : told of a study, by its Orthanc id, that is no longer what its work was named after
    A step that gives a final state is the last one. Failures become states here, so that the engine replays
    answers and never exceptions.
    """

    def __init__(
        self,
        *,
        client: OrthancClient,
        priors: Priors,
        jobs: Jobs,
        workers: WorkerPool,
        data_folder: Path,
        features: KeptFeatures,
        names: StudyNames,
        destinations: Sequence[Destination],
        look_again: Callable[[str], object],
        stop: threading.Event,
    ) -> None:
        self._client = client
        self._priors = priors
        self._destinations = destinations
        self._look_again = look_again
        self._jobs = jobs
        self._workers = workers
        self._source = SourceFiles(data_folder / "source", client)
        self._leftovers = Leftovers(client, jobs)
        self._result_folder = data_folder / "results"
        self._features = features
        self._names = names
        self._stop = stop

    @property
    def steps(self) -> tuple[tuple[str, Step], ...]:
        steps = {
            "fetch": self._fetch,
            "run": self._run,
            "check": self._check,
            "store": self._store,
            "finish": self._finish,
        }
        return tuple((name, self._reported(name, step)) for name, step in steps.items())

    def remove_leftovers(self) -> None:
        """Drop what cut-off runs and downloads left; only while nothing runs."""
        self._source.remove_leftovers()
        self._features.remove_leftovers()
        for folder in self._result_folder.glob("*.part-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _reported(self, name: str, step: Callable[[Job], State]) -> Step:
        def reported(work_id: str, lease: int) -> str:
            try:
                return self._do(name, step, self._jobs.leased(work_id, lease)).value
            except WorkTakenAway:
                self._withdraw(work_id)
                raise

        return reported

    def _do(self, name: str, step: Callable[[Job], State], job: Job) -> State:
        if job.state.is_final:
            return job.state
        started = time.monotonic()
        state = self._outcome(step, job)
        seconds = time.monotonic() - started
        self._jobs.add_timing(job, name, seconds)
        study = self._names(job.study_instance_uid)
        _log.info(name, work=job.work_id[:12], study=study, state=state.value, seconds=round(seconds, 3))
        if not job.is_beside and (name == "fetch" or state.is_final):
            show_label(self._client, job.orthanc_id, _label(state, job.result))
        return state

    def _withdraw(self, work_id: str) -> None:
        """Leave nothing in the archive of an attempt that lost its lease while this host was paused or out of reach.

        Source files stay for the retention to remove: the other attempt may be one of this host's own.
        """
        job = self._jobs.read(work_id)
        if job.state.is_final:
            self._leftovers.try_to_remove_beside(job)
        _log.warning("taken away by another attempt", work=work_id[:12], state=job.state.value)

    def _outcome(self, step: Callable[[Job], State], job: Job) -> State:
        try:
            refuse_deadly(job)
            return step(job)
        except (ResourceGoneError, WorkOutdatedError) as error:
            self._leftovers.take_back(job.work_id)
            state = self._end(job, State.SUPERSEDED, code=error.code, message=str(error))
            self._look_again(job.orthanc_id)
            return state
        except ArchiveUnavailableError as error:
            # What is stored stays: the archive's return brings the work back.
            return self._end(job, State.FAILED, code=error.code, message=str(error))
        except ServiceError as error:
            self._leftovers.take_back(job.work_id)
            return self._end(job, State.FAILED, code=error.code, message=str(error))

    def _end(self, job: Job, state: State, *, code: str, message: str) -> State:
        self._jobs.end(job, state, code=code, message=message)
        self._source.remove(job.work_id)
        _log.warning("ended without result", work=job.work_id[:12], state=state.value, code=code, reason=message)
        return state

    def _fetch(self, job: Job) -> State:
        self._jobs.start(job)
        if self._finished(job) is None and job.revision is None:
            self._download(job)
        return State.RUNNING

    def _run(self, job: Job) -> State:
        if self._has_result(job):
            return State.RUNNING
        if job.revision is None and not self._source.are_fetched(job.work_id):
            self._download(job)
        return self._run_patiently(job)

    def _check(self, job: Job) -> State:
        if not self._has_result(job) and (state := self._repeat(job)).is_final:
            return state
        manifest = self._finished(job)
        if manifest is None:
            self._jobs.move(job, State.WRITING)
        else:
            self._jobs.keep_result(job, State.WRITING, manifest)
        return State.WRITING

    def _store(self, job: Job) -> State:
        if not self._has_result(job) and (state := self._check(job)).is_final:
            return state
        self._jobs.move(job, State.STORING)
        manifest = self._finished(job)
        if manifest is not None:
            # The patient may have been corrected or merged since the images were read.
            source = self._current_source(job)
            outputs = [self._results(job) / output.path for output in manifest.outputs]
            refuse_other_filing(self._client, outputs, source.instance_ids)
            self._jobs.plan(job, {output.sop_instance_uid: output.sha256 for output in manifest.outputs})
            objects = [self._deliver(job, output) for output in manifest.outputs]
            # The images may have been deleted or moved meanwhile, and our objects be a study of their own now.
            self._current_source(job)
            self._jobs.keep_objects(job, objects)
        return State.STORING

    def _finish(self, job: Job) -> State:
        if not job.objects:
            raise DeliveryError("the pipeline completed but its result.json names no output")
        self._leftovers.remove_beside(job)
        self._jobs.finish(job, planned_copies(job.work_id, job.objects, self._destinations))
        # Once more: a host that was taken for dead may have stored something in between. One that does so from here on
        # sees that the work is done, and takes it back itself.
        self._leftovers.try_to_remove_beside(job)
        if not job.is_beside:
            self._jobs.supersede_older(job)
        self._source.remove(job.work_id)
        return State.STORED

    def _download(self, job: Job) -> None:
        source = self._current_source(job)
        # The study's last report of ours, which the new one names as its predecessor.
        earlier = [report.orthanc_instance_id for report in self._jobs.earlier_reports(job)]
        self._source.fetch(
            job.work_id,
            source.instance_ids,
            earlier_reports=earlier,
            before_they_count=lambda folder: self._add_priors(job, source, folder),
        )

    def _add_priors(self, job: Job, source: Source, folder: Path) -> None:
        fetched = self._priors.fetch(job.orthanc_id, source, folder)
        kept = [notice for notice in job.warnings if not notice.code.startswith(PRIOR)]
        self._jobs.note_priors(job, fetched.studies, warnings=[*kept, *fetched.said])

    def _current_source(self, job: Job) -> Source:
        """The study's images, if they and the patient are still those that the work is named after."""
        study = self._client.study(job.orthanc_id)
        series = self._client.series(job.orthanc_id)
        own = self._jobs.own_series_uids(job.orthanc_id)
        source = select_source(series, own, demographics=study.demographics)
        if source is None or source.digest != job.source_digest:
            raise WorkOutdatedError("the study's images or demographics changed while it was worked on")
        if len(self._client.studies_named(job.study_instance_uid)) > 1:
            raise StudyCollisionError("the archive has this Study Instance UID under several patients")
        return source

    def _deliver(self, job: Job, output: Output) -> StoredObject:
        self._jobs.leased(job.work_id, job.lease)
        return deliver(self._client, self._results(job) / output.path, output, study_id=job.orthanc_id)

    def _has_result(self, job: Job) -> bool:
        """Whether nothing is to be computed: the result is on this host, or all of it in the archive."""
        if self._finished(job) is not None:
            return True
        return bool(job.objects) and are_in_archive(self._client, job.objects)

    def _repeat(self, job: Job) -> State:
        """Have the result on this host: the one that computed it is gone, and its files with it."""
        self._fetch(job)
        return self._run(job)

    def _run_patiently(self, job: Job) -> State:
        """Run the pipeline; a resource that ran out is waited for, a lost worker replaced, both within bounds."""
        shortages = 0
        while True:
            try:
                exit_code, manifest = self._run_once(job)
            except WorkerCrashError as error:
                self._count_crash(job, error)
                continue
            if exit_code == EXIT_DONE:
                return State.RUNNING
            shortages += exit_code == EXIT_RESOURCE
            if exit_code != EXIT_RESOURCE or shortages > MAX_RESOURCE_RETRIES:
                return self._end_by_exit_code(job, exit_code, manifest)
            self._wait(shortages)

    def _run_once(self, job: Job) -> tuple[int, Manifest | None]:
        """Exit code and manifest of one run; on success its folder is now the result."""
        self._await_pipeline(job)
        with whole_folder(self._results(job)) as folder:
            reply = self._answer(job, folder)
            manifest = _manifest_of(reply, folder)
            self._jobs.leased(job.work_id, job.lease)
            if reply.exit_code == EXIT_DONE and manifest is not None:
                return EXIT_DONE, manifest
            # What did not succeed leaves its words in the ledger and no folder.
            shutil.rmtree(folder)
        return reply.exit_code or EXIT_OUTPUT, manifest

    def _answer(self, job: Job, output: Path) -> Reply:
        if job.marked is not None:
            return self._mark(job, job.marked, output)
        if job.revision is not None:
            return self._revise(job, job.revision, output)
        return self._read(job, output)

    def _revise(self, job: Job, revision: Revision, output: Path) -> Reply:
        """Have a later version of a report written, of the one that lies in the archive."""
        with tempfile.TemporaryDirectory(dir=self._result_folder, prefix="report.part-") as folder:
            report = Path(folder) / "report.dcm"
            report.write_bytes(self._client.instance_file(revision.report))
            return self._workers.ask(
                ReviseRequest(id=job.work_id, report=report, output=output, judgements=revision.judgements)
            )

    def _read(self, job: Job, output: Path) -> Reply:
        """Have the study read, and its features kept."""
        with whole_folder(self._features.of(job.work_id)) as features:
            request = ReadRequest(
                id=job.work_id,
                input=self._source.study(job.work_id),
                output=output,
                prior=self._source.priors(job.work_id),
                features=features if self._features.is_wanted else None,
            )
            reply = self._workers.ask(request)
            if reply.exit_code != EXIT_DONE:
                shutil.rmtree(features)
        return reply

    def _mark(self, job: Job, region: MarkedRegion, output: Path) -> Reply:
        """Have a marked region written, from the features that its points were asked of."""
        read_by, study = job.read_by or job.work_id, self._source.study(job.work_id)
        if not self._features.are_kept(read_by):
            priors = self._source.priors(job.work_id)
            read_for_features(self._workers, self._features, read_by, study=study, priors=priors)
        features = self._features.of(read_by)
        return self._workers.ask(
            MarkRequest(id=job.work_id, input=study, output=output, features=features, region=region)
        )

    def _await_pipeline(self, job: Job) -> None:
        """A ready worker of the pipeline that the work is named after."""
        if self._workers.wait_ready().pipeline_digest != job.pipeline_digest:
            raise WorkOutdatedError("the pipeline was exchanged after this work was queued")

    def _count_crash(self, job: Job, error: WorkerCrashError) -> None:
        crashes = self._jobs.count_crash(job)
        _log.error("worker lost", work=job.work_id[:12], crashes=crashes, reason=str(error))
        if crashes >= MAX_CRASHES:
            raise WorkerCrashError(f"the study took the worker down {crashes} times, lastly: {error}") from error

    def _end_by_exit_code(self, job: Job, exit_code: int, manifest: Manifest | None) -> State:
        reason = None if manifest is None else manifest.reason
        self._jobs.keep_result(job, State.RUNNING, manifest)
        return self._end(
            job,
            State.NOT_APPLICABLE if exit_code == EXIT_NOT_APPLICABLE else State.FAILED,
            code=f"exit-{exit_code}" if reason is None else reason.code,
            message=EXIT_REASONS.get(exit_code, f"it ended with {exit_code}") if reason is None else reason.message,
        )

    def _wait(self, failures: int) -> None:
        if self._stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]):
            raise ServiceStopping

    def _finished(self, job: Job) -> Manifest | None:
        """The result on this host; a torn one, as after a power cut, is thrown away to be made again."""
        try:
            return read_result(self._results(job))
        except TornResultError as error:
            _log.warning("torn result thrown away", work=job.work_id[:12], reason=str(error))
            shutil.rmtree(self._results(job))
            return None

    def _results(self, job: Job) -> Path:
        return self._result_folder / job.work_id


def _label(state: State, result: Manifest | None) -> Label | None:
    if state is State.STORED:
        return Label.FINDING if result is not None and result.has_something_to_look_at else Label.CLEAR
    return {State.RUNNING: Label.RUNNING, State.FAILED: Label.FAILED}.get(state)


def _manifest_of(reply: Reply, folder: Path) -> Manifest | None:
    """What a run said of itself; None where it said nothing that holds."""
    try:
        return read_result(folder) if reply.exit_code == EXIT_DONE else read_manifest(folder)
    except TornResultError as error:
        _log.error("the pipeline's result does not hold", reason=str(error))
        return None
