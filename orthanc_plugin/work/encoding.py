"""Studies whose features are no longer kept, encoded once more because somebody asks."""

import queue
import shutil
import tempfile
import threading
from pathlib import Path

import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ServiceError, ServiceStopping, WorkOutdatedError
from orthanc_plugin.domain.source import select_source
from orthanc_plugin.ledger.jobs import Job, Jobs
from orthanc_plugin.ledger.local_faults import tolerated
from orthanc_plugin.pipeline.protocol import EXIT_DONE, ReadRequest
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.priors import Priors
from orthanc_plugin.work.source_files import SourceFiles
from orthanc_plugin.work.whole_folder import whole_folder

_TICK_SECONDS = 0.5

_log = structlog.get_logger("curia.encoding")


class Encoding:
    """One thread that encodes studies again, one after the other; nothing but their features comes of it.

    folder : for what is fetched meanwhile
    """

    def __init__(
        self,
        kept: KeptFeatures,
        *,
        client: OrthancClient,
        priors: Priors,
        jobs: Jobs,
        workers: WorkerPool,
        folder: Path,
        stop: threading.Event,
    ) -> None:
        self.kept = kept
        self._client = client
        self._priors = priors
        self._jobs = jobs
        self._workers = workers
        self._source = SourceFiles(folder, client)
        self._stop = stop
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._troubles: dict[str, str] = {}

    def ask_for(self, work_id: str) -> str | None:
        """Have the work's study encoded, once however often it is asked for; why that failed the last time, if it did.

        A failure is told once, and the next who asks begins anew.
        """
        with self._lock:
            trouble = self._troubles.pop(work_id, None)
            if trouble is None and work_id not in self._waiting:
                self._waiting.add(work_id)
                self._asked.put(work_id)
        return trouble

    def run(self) -> None:
        """Encode what is asked for until the service stops."""
        self._source.remove_leftovers()
        while not self._stop.is_set():
            try:
                self.encode_next(_TICK_SECONDS)
            except ServiceStopping:
                return

    def encode_next(self, wait_seconds: float) -> None:
        """The study that was asked for first; nothing where none is within *wait_seconds*."""
        try:
            work_id = self._asked.get(timeout=wait_seconds)
        except queue.Empty:
            return
        trouble: str | None = "disk or database were out of reach"
        with tolerated("encoding again"):
            trouble = self._encode(self._jobs.read(work_id))
        with self._lock:
            self._waiting.discard(work_id)
            if trouble is not None:
                self._troubles[work_id] = trouble

    def _encode(self, job: Job) -> str | None:
        """Why it could not be done; None where it was."""
        try:
            self._fetch(job)
            read_for_features(
                self._workers, self.kept, job.work_id, study=self._source.study(job.work_id),
                priors=self._source.priors(job.work_id),
            )  # fmt: skip
        except ServiceError as error:
            _log.warning("not encoded again", work=job.work_id[:12], code=error.code, reason=str(error))
            return str(error)
        finally:
            self._source.remove(job.work_id)
        return None if self.kept.are_kept(job.work_id) else "the pipeline could not read the study again"

    def _fetch(self, job: Job) -> None:
        study = self._client.study(job.orthanc_id)
        series = self._client.series(job.orthanc_id)
        source = select_source(series, self._jobs.own_series_uids(job.orthanc_id), demographics=study.demographics)
        if source is None or source.digest != job.source_digest:
            raise WorkOutdatedError("the study's images or demographics changed since it was read; run it again")
        self._source.fetch(
            job.work_id,
            source.instance_ids,
            earlier_reports=(),
            before_they_count=lambda folder: self._priors.fetch(job.orthanc_id, source, folder),
        )


def read_for_features(
    workers: WorkerPool, kept: KeptFeatures, work_id: str, *, study: Path, priors: tuple[Path, ...]
) -> None:
    """Have the pipeline read the study in a folder for its features alone; what else it writes is thrown away."""
    with tempfile.TemporaryDirectory(dir=study.parent) as output, whole_folder(kept.of(work_id)) as features:
        request = ReadRequest(id=work_id, input=study, output=Path(output), prior=priors, features=features)
        if workers.ask(request).exit_code != EXIT_DONE:
            shutil.rmtree(features)
