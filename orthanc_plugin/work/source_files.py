"""The images of one piece of work as files, for the pipeline to read."""

import contextlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.domain.errors import ResourceGoneError
from orthanc_plugin.work.priors import PRIOR
from orthanc_plugin.work.whole_folder import whole_folder

STUDY = "study"


class SourceFiles:
    """A folder for each piece of work: in ``study`` exactly the instances that it is named after, beside it priors.

    Only what this process fetched itself counts: a power cut leaves files that never reached the disk, and the next
    life of the service cannot tell them from whole ones.
    """

    def __init__(self, folder: Path, client: OrthancClient) -> None:
        self._folder = folder
        self._client = client
        self._fetched: set[str] = set()

    def study(self, work_id: str) -> Path:
        return self._folder / work_id / STUDY

    def priors(self, work_id: str) -> tuple[Path, ...]:
        return tuple(sorted((self._folder / work_id).glob(f"{PRIOR}-*")))

    def are_fetched(self, work_id: str) -> bool:
        return work_id in self._fetched and self.study(work_id).exists()

    def fetch(
        self,
        work_id: str,
        instance_ids: Iterable[str],
        *,
        earlier_reports: Iterable[str],
        before_they_count: Callable[[Path], object],
    ) -> None:
        """Have the instances, each as Orthanc noted it, and of the earlier reports those that are still there.

        before_they_count : is given the folder, and may raise, so that these files do not take the place of others
        """
        with whole_folder(self._folder / work_id) as whole:
            folder = whole / STUDY
            folder.mkdir()
            for instance_id in instance_ids:
                (folder / f"{instance_id}.dcm").write_bytes(self._client.instance_file(instance_id))
            for instance_id in earlier_reports:
                with contextlib.suppress(ResourceGoneError):
                    (folder / f"earlier-{instance_id}.dcm").write_bytes(self._client.instance_file(instance_id))
            before_they_count(whole)
        self._fetched.add(work_id)

    def remove(self, work_id: str) -> None:
        self._fetched.discard(work_id)
        shutil.rmtree(self._folder / work_id, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """What cut-off downloads left; only while nothing is fetched."""
        for folder in self._folder.glob("*.part-*"):
            shutil.rmtree(folder, ignore_errors=True)
