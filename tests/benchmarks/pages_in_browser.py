"""How fast the pages are in Chromium: a work list of 5,000 studies, and a study of 1,000 slices with one before it.

The service's own routes over a ledger that is filled here, and beside them, in the place of Orthanc, routes that answer
for two series of made slices: what is timed is the service's answer and the page. Prints what docs/performance.md says.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from integration.ohif_site import PUPPETEER  # noqa: E402
from integration.running_site import find_browser  # noqa: E402
from orthanc_plugin.ledger.ledger import Ledger  # noqa: E402
from page_cases import EARLIER, SIDE, SLICES, STUDY_ID, TODAY, fill, page_service  # noqa: E402

SCALE_MM = 0.7
SHIFT_MM = (14.0, -7.0, 30.0)
"""From today's place of the patient to the one before."""


def archive_routes(application: FastAPI) -> None:
    """As Orthanc would answer for the study and the one before it."""
    values = _made_slice()

    @application.get("/studies/{study}")
    def study(study: str) -> dict[str, Any]:
        return {"MainDicomTags": {"StudyDescription": "CHEST", "StudyDate": "20260101"},
                "PatientMainDicomTags": {"PatientName": f"NAME^{study[:8]}", "PatientID": study[:8]}}  # fmt: skip

    @application.get("/studies/{study}/series")
    def series(study: str) -> list[dict[str, Any]]:
        uid = TODAY if study == STUDY_ID else EARLIER
        return [{"ID": uid, "MainDicomTags": {"SeriesInstanceUID": uid}}]

    @application.get("/series/{uid}/instances-tags")
    def tags(uid: str) -> dict[str, Any]:
        shift = SHIFT_MM if uid == EARLIER else (0.0, 0.0, 0.0)
        return {f"{uid}.{k}": _tags(f"{uid}.{k}", k, shift) for k in range(SLICES)}

    @application.get("/instances/{name}/image-int16")
    def image(name: str) -> Response:
        header = f"P7\nWIDTH {SIDE}\nHEIGHT {SIDE}\nDEPTH 1\nMAXVAL 65535\nTUPLTYPE GRAYSCALE\nENDHDR\n".encode()
        return Response(header + np.roll(values, int(name.rpartition(".")[2]), axis=0).tobytes())

    @application.get("/instances/matrix/simplified-tags")
    def matrix() -> dict[str, Any]:
        moved = np.eye(4)
        moved[:3, 3] = [-shift for shift in SHIFT_MM]
        step = {"FrameOfReferenceTransformationMatrix": "\\".join(str(value) for value in moved.ravel())}
        return {"RegistrationSequence": [{}, {"MatrixRegistrationSequence": [{"MatrixSequence": [step]}]}]}

    @application.post("/tools/find")
    def find() -> list[str]:
        return []

    @application.get("/plugins")
    def plugins() -> list[str]:
        return ["ohif"]


def _made_slice() -> np.ndarray[Any, np.dtype[Any]]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (400 * np.sin(rows / 17) * np.cos(columns / 23) + 40).astype(">i2")


def _tags(uid: str, number: int, shift: tuple[float, float, float]) -> dict[str, str]:
    x, y, z = (place + moved for place, moved in zip((-180.0, -180.0, float(number)), shift, strict=True))
    return {
        "SOPInstanceUID": uid, "Rows": str(SIDE), "Columns": str(SIDE), "ImagePositionPatient": f"{x}\\{y}\\{z}",
        "ImageOrientationPatient": "1\\0\\0\\0\\1\\0", "PixelSpacing": f"{SCALE_MM}\\{SCALE_MM}", "Modality": "CT",
        "RescaleSlope": "1", "RescaleIntercept": "0", "PixelRepresentation": "1", "SliceThickness": "1",
    }  # fmt: skip


@contextmanager
def served(folder: Path) -> Iterator[str]:
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
    fill(ledger)
    with page_service(ledger, folder, CollectorRegistry()) as application:
        archive_routes(application)
        server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        (port,) = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()
    ledger.close()


def run(pictures: Annotated[Path, typer.Option(help="Folder for screenshots.")] = ROOT / "build" / "pages") -> None:
    """Print the figures as JSON."""
    node = shutil.which("node")
    assert node, "node is missing: make test installs it"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="curia-pages-") as folder, served(Path(folder)) as url:
        command = [node, ROOT / "tests/node/time_pages.mjs", PUPPETEER, find_browser(), url, STUDY_ID, pictures]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    sys.stderr.write(ended.stderr)
    typer.echo(json.dumps(json.loads(ended.stdout), indent=1) if ended.returncode == 0 else ended.stdout)
    raise typer.Exit(ended.returncode)


if __name__ == "__main__":
    typer.run(run)
