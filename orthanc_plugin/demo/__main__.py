"""``python -m orthanc_plugin.demo STUDY ...``: real CT by C-STORE into a real Orthanc, SEG and SR back."""

import hashlib
import os
import signal
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from orthanc_plugin.demo.local_orthanc import LocalOrthanc, OrthancMissingError
from orthanc_plugin.demo.sender import send_study, study_instance_uid
from orthanc_plugin.demo.tables import print_result, print_urls
from orthanc_plugin.demo.viewer import Viewer
from orthanc_plugin.domain.errors import ServiceError
from orthanc_plugin.domain.states import State

WAIT_SECONDS = 300.0
SERVICE_SETTINGS: dict[str, Any] = {"quiet_seconds": 1.0, "poll_seconds": 1.0}
"""A sender that is done is a study that is done, so the demo need not wait for Orthanc's usual minute."""


def run(
    studies: Annotated[list[Path], typer.Argument(help="Folders with one study's DICOM files each.")],
    keep: Annotated[bool, typer.Option("--keep", envvar="KEEP", help="Stay up until Ctrl-C.")] = False,
    ohif: Annotated[Path | None, typer.Option(help="Folder of the OHIF viewer as its makers built it.")] = None,
) -> None:
    """Send studies to a real Orthanc, one after the other, and wait for SEG and SR. Research use only."""
    console = Console(width=max(Console().width, 100))
    viewer = Viewer(ohif) if ohif is not None and (ohif / "index.html").is_file() else None
    service = SERVICE_SETTINGS | ({} if viewer is None else {"viewer_url": viewer.study_url})
    with tempfile.TemporaryDirectory(prefix="curia-demo-") as folder, ExitStack() as stack:
        try:
            orthanc = LocalOrthanc(Path(folder), service=service)
            if viewer is not None:
                viewer.archive_url = orthanc.url
                stack.enter_context(viewer.running())
            _run_main_job(console, orthanc, studies, keep=keep)
        except (ServiceError, httpx.HTTPError) as error:
            console.print(f"[red]demo failed:[/] {error}", highlight=False, soft_wrap=True)
            if not isinstance(error, OrthancMissingError):
                console.print(LocalOrthanc.tail_of(Path(folder)), style="dim", markup=False, highlight=False)
            raise typer.Exit(1) from error


def _run_main_job(console: Console, orthanc: LocalOrthanc, studies: list[Path], *, keep: bool) -> None:
    files = {study: sorted(study.rglob("*.dcm")) for study in studies}
    for study, paths in files.items():
        if not paths:
            raise ServiceError(f"no DICOM files under {study}")
    with orthanc:
        with _progress(console) as progress:
            _await_pipeline(orthanc, progress)
            views = []
            for paths in files.values():
                _send(orthanc, paths, progress)
                views.append(_await_result(orthanc, study_instance_uid(paths[0]), progress))
                _read_back(orthanc, views[-1])
        for view in views:
            print_result(console, orthanc, view)
        print_urls(console, orthanc, with_password=keep)
        if keep:
            console.print("Up until Ctrl-C.")
            _await_interrupt()


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )


def _await_pipeline(orthanc: LocalOrthanc, progress: Progress) -> None:
    task = progress.add_task("Orthanc is up, loading the model", total=None)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = orthanc.http.get("/curia/health")
        if answer.is_success and answer.json()["pipeline"]["ready"]:
            progress.update(task, description="Orthanc, service and pipeline are up", total=1, completed=1)
            return
        if answer.is_success and answer.json()["pipeline"]["failed"]:
            raise ServiceError(answer.json()["pipeline"]["reason"])
        time.sleep(0.2)
    raise ServiceError(f"the pipeline was not ready within {WAIT_SECONDS:g} s")


def _send(orthanc: LocalOrthanc, paths: list[Path], progress: Progress) -> None:
    task = progress.add_task("Sending the CT by C-STORE", total=len(paths))
    for count in send_study(paths, port=orthanc.dicom_port):
        progress.update(task, completed=count)


def _await_result(orthanc: LocalOrthanc, study_uid: str, progress: Progress) -> dict[str, Any]:
    """The study's entry of the work list once it is stored."""
    task = progress.add_task("waiting", total=None)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        listed = orthanc.http.get("/curia/worklist").json()["studies"]
        waiting = {"state": "waiting for Orthanc to call it stable"}
        view: dict[str, Any] = next((one for one in listed if one["study_instance_uid"] == study_uid), waiting)
        progress.update(task, description=f"Study is {view['state']}")
        if view["state"] == State.STORED:
            progress.update(task, total=1, completed=1)
            return view
        if view["state"] in tuple(State) and State(view["state"]).is_final:
            raise ServiceError(f"the study ended as {view['state']}: {view['reason']['message']}")
        time.sleep(0.2)
    raise ServiceError(f"no result within {WAIT_SECONDS:g} s")


def _read_back(orthanc: LocalOrthanc, view: dict[str, Any]) -> None:
    """Every object that the work list names can be read from Orthanc, with the digest of result.json."""
    if {"SEG", "SR"} - {entry["kind"] for entry in view["objects"]}:
        raise ServiceError("expected a SEG and an SR in the study, the work list names fewer")
    for entry in view["objects"]:
        answer = orthanc.http.get(f"/instances/{entry['orthanc_instance_id']}/file").raise_for_status()
        if hashlib.sha256(answer.content).hexdigest() != entry["sha256"]:
            raise ServiceError(f"{entry['kind']}: the object in Orthanc differs from the one that was written")


def _await_interrupt() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    # KEEP=0 and an empty KEEP mean no, which typer's own reading of a flag's variable refuses for the latter.
    if not os.environ.get("KEEP"):
        os.environ.pop("KEEP", None)
    typer.run(run)
