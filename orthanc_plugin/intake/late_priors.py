"""Earlier studies that come after a later one of the same patient was done, as from a long-term archive."""

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.prior import later_studies
from orthanc_plugin.domain.source import Source
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.work.priors import Priors


class LatePriors:
    """Which studies are to be looked at again, and what for."""

    def __init__(self, client: OrthancClient, priors: Priors) -> None:
        self._client = client
        self._priors = priors

    def later_than(self, study: StudyFacts) -> tuple[str, ...]:
        """Orthanc ids of the later studies that this one may be a prior of."""
        others = self._client.studies_of_same_patient(study.orthanc_id)
        return tuple(other.orthanc_id for other in later_studies(study, others))

    def unknown_to(self, job: Job, source: Source) -> tuple[str, ...]:
        """The earlier studies to compare with now, if the work did not know one of them; else none.

        Work of a version that did not note them stands as it is.
        """
        if job.priors is None:
            return ()
        wanted = self._priors.wanted(job.orthanc_id, source)
        return wanted if set(wanted) - set(job.priors) else ()
