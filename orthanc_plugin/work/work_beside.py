"""What people ask for becomes work of its own, which stands beside the study's and replaces none of it."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job, Jobs
from orthanc_plugin.pipeline.protocol import MarkedRegion, Revision
from orthanc_plugin.pipeline.worker_pool import WorkerPool

PRIORITY = 1
"""First in the queue, because somebody waits."""


class WorkBeside:
    """Enters such work.

    begin : has the work of an id gone through, before other work
    """

    def __init__(self, jobs: Jobs, workers: WorkerPool, *, begin: Callable[[str], object]) -> None:
        self._jobs = jobs
        self._workers = workers
        self._begin = begin

    def keep(self, read: Job, region: MarkedRegion) -> Job:
        """Have a region stored as SEG and SR; the same region by the same person once, however often it is sent.

        read : the work whose features the points were asked of
        """
        return self._enter(replace(self._beside(read, region.model_dump_json()), marked=region))

    def revise(self, read: Job, revision: Revision) -> Job:
        """Have a later version of a report stored; the same judgements on the same report once.

        read : the work that the report, or the first of its versions, came from
        """
        return self._enter(replace(self._beside(read, revision.model_dump_json()), revision=revision))

    def _beside(self, read: Job, asked: str) -> Job:
        identity = self._workers.identity
        # While no worker is up, the study's own pipeline is the best guess; another one ends the work with a reason.
        digest = read.pipeline_digest if identity is None else identity.pipeline_digest
        parts = (read.work_id, read.source_digest, digest, asked)
        now = time.time()
        return Job(
            work_id=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            orthanc_id=read.orthanc_id,
            study_instance_uid=read.study_instance_uid,
            source_digest=read.source_digest,
            pipeline_digest=digest,
            state=State.QUEUED,
            stable_at=now,
            queued_at=now,
            priority=PRIORITY,
            read_by=read.work_id,
        )

    def _enter(self, job: Job) -> Job:
        if not self._jobs.add_beside(job) and self._jobs.read(job.work_id).state is State.FAILED:
            self._jobs.requeue(job.work_id)
        self._begin(job.work_id)
        return self._jobs.read(job.work_id)
