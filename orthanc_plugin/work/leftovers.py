"""What attempts leave in the archive beside the one result that counts."""

import structlog

from orthanc_plugin.archive.delivery import remove_planned
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveUnavailableError, ResourceGoneError, ServiceError
from orthanc_plugin.domain.source import select_source
from orthanc_plugin.ledger.jobs import Job, Jobs

_log = structlog.get_logger("curia.workflow")


class Leftovers:
    """Only what an attempt meant to store, byte for byte, is ever taken out of the archive."""

    def __init__(self, client: OrthancClient, jobs: Jobs) -> None:
        self._client = client
        self._jobs = jobs

    def remove_beside(self, job: Job) -> None:
        """What attempts stored under other UIDs than the result has.

        Arithmetic that differs between two hosts gives other contents, and so other UIDs, which would stand in the
        study as a second result.
        """
        remove_planned(self._client, job.planned, kept={stored.sop_instance_uid for stored in job.objects})

    def try_to_remove_beside(self, job: Job) -> None:
        """The same where the work's outcome stands and no trouble may touch it any more."""
        try:
            self.remove_beside(job)
        except ServiceError as error:
            _log.error("leftovers not removed", work=job.work_id[:12], reason=str(error))

    def take_back(self, work_id: str) -> None:
        """Leave nothing in the archive of work that ends without its result.

        What an earlier end of the work left there stays while there are images that it is of. Upload after upload a
        study may be deleted, split or merged: then Orthanc makes a study of our objects alone.
        """
        job = self._jobs.read(work_id)
        planned = job.planned | {stored.sop_instance_uid: [stored.sha256] for stored in job.objects}
        while planned:
            try:
                kept = {stored.sop_instance_uid for stored in job.objects} if self._has_images(job) else set()
                removed = remove_planned(self._client, planned, kept=kept)
            except ArchiveUnavailableError:
                # Nothing else could be done either while the archive is away.
                continue
            except ServiceError as error:
                _log.error("results not taken back", work=work_id[:12], reason=str(error))
                return
            _log.info("taken back", work=work_id[:12], objects=removed)
            return

    def _has_images(self, job: Job) -> bool:
        try:
            series = self._client.series(job.orthanc_id)
        except ResourceGoneError:
            return False
        return select_source(series, self._jobs.own_series_uids(job.orthanc_id)) is not None
