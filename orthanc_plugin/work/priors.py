"""Earlier studies of the patient, fetched beside today's for the pipeline to compare with."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveUnavailableError, ServiceError
from orthanc_plugin.domain.facts import StudyFacts
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.prior import compared_modalities, earlier_studies, prior_instances
from orthanc_plugin.domain.source import Source
from orthanc_plugin.work.other_archive import OtherArchive

PRIOR = "prior"
"""How the names of their folders begin, and the codes of what is said of them."""

_log = structlog.get_logger("curia.priors")


@dataclass(frozen=True, slots=True)
class FetchedPriors:
    """What was considered, whether it came or not, and what is to be said of it.

    studies : Orthanc ids, the latest first
    """

    studies: tuple[str, ...] = ()
    said: tuple[Notice, ...] = ()


class Priors:
    """Nothing that is wrong with an earlier study, or with fetching it, is today's study's fault: it runs without.

    client : with little patience, because today's study waits meanwhile
    count : how many earlier studies are fetched at most, the latest first
    seconds : time for all of them together
    across_modalities : a study with MR alone is a prior of CT, and the other way round
    archive : is asked for what Orthanc does not have
    is_asked_for : the site asked for them itself, and so is told of every study that has none; most have none
    """

    def __init__(
        self,
        client: OrthancClient,
        *,
        count: int,
        seconds: float,
        is_asked_for: bool = True,
        across_modalities: bool = False,
        archive: OtherArchive | None = None,
    ) -> None:
        self._client = client
        self._count = count
        self._seconds = seconds
        self._is_asked_for = is_asked_for
        self._across_modalities = across_modalities
        self._archive = archive

    def fetch(self, study_id: str, source: Source, folder: Path) -> FetchedPriors:
        """A folder for each in *folder*, ``prior-1`` the latest."""
        if self._count == 0:
            return FetchedPriors()
        until = time.monotonic() + self._seconds
        considered: list[str] = []
        said = self._bring(study_id, source, until)
        try:
            for prior, instance_ids in islice(self._candidates(study_id, source), self._count):
                considered.append(prior.orthanc_id)
                self._fetch_one(instance_ids, folder / f"{PRIOR}-{len(considered)}", until)
        except ServiceError as error:
            left_out = Notice(code="prior-not-fetched", message=f"an earlier study was left out: {error}")
            return FetchedPriors(tuple(considered), (*said, left_out))
        if considered:
            return FetchedPriors(tuple(considered), said)
        _log.info("no earlier study", study=study_id)
        none = Notice(code="prior-not-found", message="the archive has no earlier study to compare with")
        return FetchedPriors(said=(*said, none) if self._is_asked_for else said)

    def wanted(self, study_id: str, source: Source) -> tuple[str, ...]:
        """Orthanc ids of the earlier studies that would be fetched now, the latest first."""
        return tuple(prior.orthanc_id for prior, _ in islice(self._candidates(study_id, source), self._count))

    def _bring(self, study_id: str, source: Source, until: float) -> tuple[Notice, ...]:
        """Have the other archive send what Orthanc lacks; what is to be said where it does not."""
        if self._archive is None:
            return ()
        try:
            self._archive.bring(
                self._client.study(study_id),
                [prior for prior, _ in self._candidates(study_id, source)],
                person=self._client.person(source.instance_ids[0]),
                modalities=self._modalities(source),
                count=self._count,
                until=until,
            )
        except ServiceError as error:
            message = f"{self._archive.modality} was asked for earlier studies in vain: {error}"
            return (Notice(code="prior-not-fetched", message=message),)
        return ()

    def _modalities(self, source: Source) -> frozenset[str]:
        own = {series.modality for series in source.series}
        return compared_modalities(own, across=self._across_modalities)

    def _candidates(self, study_id: str, source: Source) -> Iterator[tuple[StudyFacts, tuple[str, ...]]]:
        """Each earlier study of the same person with images of modalities that are compared, and its instances."""
        modalities = self._modalities(source)
        person = self._client.person(source.instance_ids[0])
        for study in earlier_studies(self._client.study(study_id), self._client.studies_of_same_patient(study_id)):
            series = self._client.series(study.orthanc_id)
            instance_ids = prior_instances(series, modalities=modalities)
            if instance_ids and person.may_be(self._client.person(instance_ids[0])):
                yield study, instance_ids

    def _fetch_one(self, instance_ids: tuple[str, ...], folder: Path, until: float) -> None:
        folder.mkdir()
        try:
            for instance_id in instance_ids:
                if time.monotonic() > until:
                    raise ArchiveUnavailableError(f"it did not come within {self._seconds:g} s")
                (folder / f"{instance_id}.dcm").write_bytes(self._client.instance_file(instance_id))
        except ServiceError:
            shutil.rmtree(folder)
            raise
