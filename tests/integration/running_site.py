"""A real Orthanc, the real service and the real pipeline; slices of the bundled chest CT under a canary's name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from orthanc_plugin.demo.local_orthanc import USER, LocalOrthanc
from orthanc_plugin.demo.sender import send_study
from orthanc_plugin.domain.source import MANUFACTURER, SOURCE_MODALITIES
from phantoms import SeriesSpec, build_datasets, save_series
from raw_headers import written_with

CANARIES = ("CANARY^PATIENT", "CANARY-ID-4711", "CANARY-DESCRIPTION")
FAST = {"quiet_seconds": 0.5, "poll_seconds": 0.5, "sweep_seconds": 3.0, "devices": ["cpu"]}
RESULT_SECONDS = 180.0

CHEST_CT = Path(__file__).parents[1] / "data" / "ct_chest_lidc0314"
SLICE_STEP = 4


def build_study(name: str, folder: Path) -> tuple[str, list[Path]]:
    """Every fourth slice of the chest CT as a study of its own: its Study Instance UID and its files, in order.

    The same name gives the same UIDs.
    """
    slices = sorted((dcmread(path) for path in CHEST_CT.glob("*.dcm")), key=lambda one: one.ImagePositionPatient[2])
    uids = {kind: generate_uid(entropy_srcs=["curia integration", name, kind]) for kind in ("study", "series")}
    paths = []
    for index, dataset in enumerate(slices[::SLICE_STEP]):
        dataset.PatientName, dataset.PatientID, dataset.SeriesDescription = CANARIES
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uids["study"], uids["series"]
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["curia integration", name, str(index)])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        paths.append(folder / f"{index}.dcm")
        dataset.save_as(paths[-1])
    return uids["study"], paths


class Site:
    """An Orthanc with what the tests do to it and ask of it."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.orthanc = orthanc

    def send(self, paths: Iterable[Path]) -> None:
        assert list(send_study(paths, port=self.orthanc.dicom_port))

    def get(self, path: str, **request: Any) -> Any:
        return self.orthanc.http.get(path, **request).raise_for_status().json()

    def study(self, study_instance_uid: str) -> dict[str, Any] | None:
        """The study's entry in the work list; none while the service is down, too."""
        answer = self.orthanc.http.get("/curia/worklist", params={"limit": 1000})
        studies = answer.json()["studies"] if answer.is_success else []
        return next((one for one in studies if one["study_instance_uid"] == study_instance_uid), None)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = RESULT_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.02)
        pytest.fail(f"{what} not within {seconds:g} s\n{LocalOrthanc.tail_of(self.orthanc.folder, 30)}")

    def wait_for_state(self, study_instance_uid: str, *states: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            study = self.study(study_instance_uid)
            return study if study is not None and study["state"] in states else None

        view: dict[str, Any] = self.wait(reached, " or ".join(states))
        return view

    def modalities(self, orthanc_id: str) -> Counter[str]:
        """Series per modality of a study, as Orthanc has it."""
        series = self.get(f"/studies/{orthanc_id}/series")
        return Counter(one["MainDicomTags"]["Modality"] for one in series)

    def count_images(self, orthanc_id: str) -> int:
        series = self.get(f"/studies/{orthanc_id}/series")
        return sum(len(one["Instances"]) for one in series if one["MainDicomTags"]["Modality"] in SOURCE_MODALITIES)

    def strays(self) -> list[str]:
        """Studies that hold results of ours and no image that these could be of."""
        studies = {one: self.get(f"/studies/{one}/series") for one in self.get("/studies")}
        tags = {study: [one["MainDicomTags"] for one in series] for study, series in studies.items()}
        ours = {
            study for study, all_of in tags.items() if any(one.get("Manufacturer") == MANUFACTURER for one in all_of)
        }
        return [study for study in ours if not any(one["Modality"] in SOURCE_MODALITIES for one in tags[study])]

    def stable_events(self, orthanc_id: str) -> int:
        changes = self.get("/changes", params={"limit": 10000})["Changes"]
        return sum(one["ChangeType"] == "StableStudy" and one["ID"] == orthanc_id for one in changes)

    def work_counts(self) -> dict[str, int]:
        """Pieces of work by state, without the empty ones, from the service's own metrics."""
        text = self.service_get("/metrics").text
        lines = (line.split() for line in text.splitlines() if line.startswith("curia_work{"))
        return {name.split('"')[1]: int(float(value)) for name, value in lines if float(value)}

    def service_get(self, path: str) -> httpx.Response:
        """Past Orthanc, without a token."""
        return httpx.get(f"http://127.0.0.1:{self.orthanc.service_port}{path}", trust_env=False)

    def worker_pids(self) -> list[int]:
        """Processes that the service started."""
        lists = Path(f"/proc/{self.orthanc.service_pid()}/task").glob("*/children")
        return [int(child) for children in lists for child in children.read_text().split()]

    def metric(self, sample: str) -> float:
        """Value of a sample of ``/metrics``, named with its labels; 0 while there is none."""
        try:
            lines = self.service_get("/metrics").text.splitlines()
        except httpx.TransportError:
            return 0.0
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample + " ")), 0.0)

    def sweeps(self) -> int:
        """How often the service looked at every study since it started first."""
        return self.orthanc.service_log.read_text().count('"event": "sweep"')

    def wait_for_pipeline(self) -> None:
        def ready() -> bool:
            answer = self.orthanc.http.get("/curia/health")
            return answer.is_success and answer.json()["status"] == "ok"

        self.wait(ready, "a ready pipeline", 300.0)


@contextmanager
def running_site(folder: Path, **arguments: Any) -> Iterator[Site]:
    """An Orthanc made with *arguments* of ``LocalOrthanc``; in the end nothing of ours may lie astray in it."""
    with LocalOrthanc(folder, **({"stable_age_seconds": 1} | arguments)) as orthanc:
        site = Site(orthanc)
        yield site
        if orthanc.is_running:
            assert site.strays() == []


def build_small_study(name: str, folder: Path, *, series: str = "series") -> tuple[str, list[Path]]:
    """Four slices of the phantom, which the pipeline reads in half a second; the same name gives the same UIDs."""
    datasets = build_datasets(SeriesSpec(shape=(4, 32, 32), study=name, series=series))
    return str(datasets[0].StudyInstanceUID), save_series(datasets, folder / series)


def changed(paths: Iterable[Path], folder: Path, **values: str) -> list[Path]:
    """Copies of the files in *folder* with some attributes set."""
    copies = []
    for path in paths:
        dataset = dcmread(path)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        copies.append(folder / path.name)
        dataset.save_as(copies[-1])
    return copies


def with_bytes(paths: Iterable[Path], folder: Path, *, character_set: str | None = None, **values: bytes) -> list[Path]:
    """Copies of the files in *folder* whose header has these bytes, whatever the standard says of them."""
    folder.mkdir()
    copies = []
    for path in paths:
        copies.append(folder / path.name)
        copies[-1].write_bytes(written_with(dcmread(path), character_set=character_set, **values))
    return copies


def find_browser() -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert browser is not None, "no Chromium on this machine; make test installs it"
    return browser


@contextmanager
def own_service(site: Site, folder: Path, *, orthanc_url: str, **more: Any) -> Iterator[subprocess.Popen]:
    """The service as a site runs it on its own, with an Orthanc user instead of the plugin's token."""
    settings = FAST | {"data_folder": folder, "orthanc_username": USER, "orthanc_password": site.orthanc.password}
    settings |= {"orthanc_url": orthanc_url, "listen": f"127.0.0.1:{site.orthanc.service_port}"} | more
    environment = {
        f"CURIA_{key.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
        for key, value in settings.items()
    }
    with site.orthanc.service_log.open("ab") as log:
        service = subprocess.Popen([sys.executable, "-m", "orthanc_plugin"], env=os.environ | environment, stderr=log)
    try:
        yield service
    finally:
        service.terminate()
        # One that a test left paused would not end.
        service.send_signal(signal.SIGCONT)
        service.wait(30)
