"""What a study's results are when nothing goes wrong: the pipeline's own, without Orthanc and without the service."""

import io
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread

from integration.running_site import Site
from orthanc_plugin.archive.delivery import undated
from orthanc_plugin.pipeline.protocol import EXIT_DONE, ReadRequest
from orthanc_plugin.pipeline.worker import Worker
from orthanc_plugin.pipeline.worker_pool import WorkerPool


class Undisturbed:
    """One warm pipeline process of the tests' own."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def pool(self) -> WorkerPool:
        """The same process, as a host of the service has it."""
        return WorkerPool([self._worker], stop=threading.Event())

    @property
    def pipeline_digest(self) -> str:
        return self._worker.start().pipeline_digest

    @property
    def starts(self) -> int:
        return self._worker.starts

    def results(self, paths: Iterable[Path]) -> dict[str, bytes]:
        """SOP Instance UID to undated bytes of every object that the pipeline makes of the files."""
        with tempfile.TemporaryDirectory() as folder:
            source, output = Path(folder, "source"), Path(folder, "output")
            source.mkdir()
            output.mkdir()
            for number, path in enumerate(paths):
                (source / f"{number}.dcm").symlink_to(path)
            reply = self._worker.ask(ReadRequest(id="reference", input=source, output=output))
            assert reply.exit_code == EXIT_DONE
            return dict(_by_uid(path.read_bytes()) for path in output.glob("*.dcm"))

    def check(self, site: Site, study_instance_uid: str, paths: Iterable[Path]) -> None:
        """The study has one current result set, what stands in Orthanc is it, and it is as if nothing had happened."""
        view = site.study(study_instance_uid)
        assert view is not None
        assert view["state"] == "stored", view["reason"]
        found = dict(
            _by_uid(site.orthanc.http.get(f"/instances/{one['orthanc_instance_id']}/file").raise_for_status().content)
            for one in view["objects"]
        )
        assert found == self.results(paths)
        assert len(view["objects"]) == len(found)

    def check_alone(self, site: Site, study_instance_uid: str, paths: Iterable[Path]) -> None:
        """The same, and no object of another run lies in the study."""
        self.check(site, study_instance_uid, paths)
        view = site.study(study_instance_uid)
        assert view is not None
        modalities = site.modalities(view["orthanc_id"])
        assert modalities["SR"] == 1
        assert modalities["SEG"] == sum(one["kind"] == "SEG" for one in view["objects"])


@contextmanager
def undisturbed_pipeline() -> Iterator[Undisturbed]:
    worker = Worker(
        (sys.executable, "-m", "app.worker", "--device", "cpu"),
        ready_seconds=120,
        deadline_seconds=120,
        max_resident_bytes=1e12,
        stop=threading.Event(),
    )
    try:
        yield Undisturbed(worker)
    finally:
        worker.close()


def _by_uid(dicom: bytes) -> tuple[str, bytes]:
    return str(dcmread(io.BytesIO(dicom), stop_before_pixels=True).SOPInstanceUID), undated(dicom)
