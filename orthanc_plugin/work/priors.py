"""Earlier studies of the patient, fetched beside today's for the pipeline to compare with."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ArchiveUnavailableError, ServiceError
from orthanc_plugin.domain.notice import Notice
from orthanc_plugin.domain.prior import earlier_studies, prior_instances
from orthanc_plugin.domain.source import Source

PRIOR = "prior"
"""Begins the names of their folders and the codes of what is said of them."""


class Priors:
    """Nothing that is wrong with an earlier study, or with fetching it, is today's study's fault: it runs without.

    client : with little patience, because today's study waits meanwhile
    count : how many earlier studies are fetched at most, the latest first
    seconds : time for all of them together
    """

    def __init__(self, client: OrthancClient, *, count: int, seconds: float) -> None:
        self._client = client
        self._count = count
        self._seconds = seconds

    def fetch(self, study_id: str, source: Source, folder: Path) -> tuple[Notice, ...]:
        """A folder for each in *folder*, ``prior-1`` the latest, and what is to be said where there is none."""
        if self._count == 0:
            return ()
        until = time.monotonic() + self._seconds
        fetched = 0
        try:
            for instance_ids in self._candidates(study_id, source):
                self._fetch_one(instance_ids, folder / f"{PRIOR}-{fetched + 1}", until)
                fetched += 1
                if fetched == self._count:
                    break
        except ServiceError as error:
            return (Notice(code="prior-not-fetched", message=f"an earlier study was left out: {error}"),)
        if fetched:
            return ()
        return (Notice(code="prior-not-found", message="the archive has no earlier study to compare with"),)

    def _candidates(self, study_id: str, source: Source) -> Iterator[tuple[str, ...]]:
        """The instances of each earlier study of the same person with images of the same modalities."""
        modalities = {series.modality for series in source.series}
        person = self._client.person(source.instance_ids[0])
        for study in earlier_studies(self._client.study(study_id), self._client.studies_of_same_patient(study_id)):
            series = self._client.series(study.orthanc_id)
            instance_ids = prior_instances(series, modalities=modalities)
            if instance_ids and person.may_be(self._client.person(instance_ids[0])):
                yield instance_ids

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
