"""The workflow's steps on a real Orthanc, one by one as a test calls them, on as many hosts as it wants."""

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread

from integration.running_site import Site, running_site
from integration.warm_stand_in import warm_pool
from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.demo.local_orthanc import CALLING_AET, ORTHANC_AET, USER, LocalOrthanc
from orthanc_plugin.domain.source import select_source, work_identity
from orthanc_plugin.domain.states import State
from orthanc_plugin.ledger.jobs import Job
from orthanc_plugin.ledger.ledger import Ledger
from orthanc_plugin.pipeline.manifest import sha256_of
from orthanc_plugin.pipeline.worker_pool import WorkerPool
from orthanc_plugin.service_log import StudyNames
from orthanc_plugin.site.destinations import Destination
from orthanc_plugin.site.settings import FOLDERS, ServiceSettings
from orthanc_plugin.work.kept_features import KeptFeatures
from orthanc_plugin.work.other_archive import OtherArchive
from orthanc_plugin.work.priors import Priors
from orthanc_plugin.work.workflow import StudyWorkflow

Host = dict[str, Callable[[str, int], str]]
STEPS = ("fetch", "run", "check", "store", "finish")


class StepBench:
    """One Orthanc and one ledger, with as many hosts as a test wants, whose steps it calls itself."""

    def __init__(self, site: Site, peer: LocalOrthanc, folder: Path, closing: ExitStack) -> None:
        self.site, self.peer, self.looked_again = site, peer, list[str]()
        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
        closing.callback(self.ledger.close)
        self.folder, self._closing, self._stop = folder, closing, threading.Event()
        self.client = self.reach(site.orthanc.url)

    def reach(self, orthanc_url: str, *, patience_seconds: float = 5.0) -> OrthancClient:
        """A client of Orthanc's, or of what stands before it."""
        settings = ServiceSettings(
            orthanc_url=orthanc_url, orthanc_username=USER, orthanc_password=self.site.orthanc.password
        )
        client = OrthancClient(settings.orthanc_access, patience_seconds=patience_seconds, stop=self._stop)
        self._closing.callback(client.close)
        return client

    def host(
        self,
        name: str,
        *destinations: Destination,
        client: OrthancClient | None = None,
        pool: WorkerPool | None = None,
        priors: int = 0,
        prior_seconds: float = 60.0,
        prior_archive: str | None = None,
    ) -> Host:
        """A host with a data folder of its own; by default with the stand-in pipeline and the way straight to Orthanc.

        The same name again is the next life of the host.
        """
        folder = self.folder / name
        for part in FOLDERS:
            (folder / part).mkdir(parents=True, exist_ok=True)
        if pool is None:
            pool = warm_pool(self._stop)
            self._closing.callback(pool.close)
        client = client or self.client
        note = self.ledger.studies.note_brought
        archive = None if prior_archive is None else OtherArchive(client, prior_archive, note)
        workflow = StudyWorkflow(
            client=client, priors=Priors(client, count=priors, seconds=prior_seconds, archive=archive),
            jobs=self.ledger.jobs, workers=pool, data_folder=folder,
            features=KeptFeatures(folder / "features", limit_bytes=math.inf),
            names=StudyNames(folder / "log.key", plain=False), destinations=destinations,
            look_again=self.looked_again.append, stop=self._stop,
        )  # fmt: skip
        return dict(workflow.steps)

    def arrive(self, paths: list[Path]) -> Job:
        """Send the images, and enter the work on what is then in Orthanc."""
        self.site.send(paths)
        (orthanc_id,) = self.client.studies_named(str(dcmread(paths[0]).StudyInstanceUID))
        return self.enter(orthanc_id)

    def let_the_peer_know_us(self) -> None:
        """Before it starts: it sends only to modalities that it knows, and our address is known only now."""
        path = self.peer.folder / "orthanc.json"
        configuration: dict[str, Any] = json.loads(path.read_text())
        configuration["DicomModalities"] = {"site": [ORTHANC_AET, "127.0.0.1", self.site.orthanc.dicom_port]}
        path.write_text(json.dumps(configuration))

    def upload(self, paths: Iterable[Path]) -> str:
        """The Orthanc id of images whose header no sender would let through."""
        (orthanc_id,) = {self.client.store_instance(path.read_bytes()).study_id for path in paths}
        return orthanc_id

    def enter(self, orthanc_id: str, *, pipeline_digest: str = "stand-in") -> Job:
        """Enter the work on what is in Orthanc."""
        study = self.client.study(orthanc_id)
        own = self.ledger.jobs.own_series_uids(orthanc_id)
        source = select_source(self.client.series(orthanc_id), own, demographics=study.demographics)
        assert source is not None
        digests = {"source_digest": source.digest, "pipeline_digest": pipeline_digest}
        work_id = work_identity(study_instance_uid=study.study_instance_uid, **digests)
        now = float(len(self.ledger.jobs.of_study(orthanc_id)))
        job = Job(
            work_id=work_id, orthanc_id=orthanc_id, study_instance_uid=study.study_instance_uid, **digests,
            state=State.QUEUED, stable_at=now, queued_at=now,
        )  # fmt: skip
        assert self.ledger.jobs.add(study, job)
        return job

    def attempt(self, host: Host, job: Job, *steps: str) -> Job:
        """Take the lease on the work and have some steps done to it."""
        lease = self.ledger.jobs.take_lease(job.work_id).lease
        for step in steps:
            host[step](job.work_id, lease)
        return self.ledger.jobs.read(job.work_id)

    def stored_sha256(self, job: Job) -> dict[str, str]:
        return {stored.kind: sha256_of(self.client.instance_file(stored.orthanc_instance_id)) for stored in job.objects}


@contextmanager
def step_bench(folder: Path, **extra: object) -> Iterator[StepBench]:
    """extra : further keys of Orthanc's configuration"""
    peer = LocalOrthanc(folder / "peer", extra={"DicomAet": "PEER"})
    modalities = {"demo": [CALLING_AET, "127.0.0.1", 104], "peer": ["PEER", "127.0.0.1", peer.dicom_port]}
    with ExitStack() as closing:
        site = closing.enter_context(running_site(folder / "orthanc", extra={"DicomModalities": modalities, **extra}))
        yield StepBench(site, peer, folder, closing)
