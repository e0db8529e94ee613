"""The OHIF viewer from its npm package in front of a real Orthanc, and what a real browser sees in it."""

import json
import mimetypes
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from integration.running_site import find_browser
from orthanc_plugin.demo.local_orthanc import LocalOrthanc

ROOT = Path(__file__).parents[2]
VIEWER = ROOT / "build" / "ohif-app" / "dist"
PUPPETEER = ROOT / "build" / "node" / "node_modules" / "puppeteer-core"
CONFIGURATION = Path(__file__).with_name("ohif_config.js")

Step = tuple[str, str, str]
"""A name, the start of a series description, a text that tells that the series is open."""


@contextmanager
def ohif_url(orthanc: LocalOrthanc) -> Iterator[str]:
    """The address of the viewer: its files at ``/``, Orthanc's DICOMweb below ``/dicom-web``."""
    assert VIEWER.is_dir(), f"{VIEWER} is missing: make test unpacks it"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, orthanc))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def view_study(url: str, study_instance_uid: str, steps: Sequence[Step], pictures: Path) -> dict[str, Any]:
    """What ``tests/node/view_study.mjs`` tells of the study; its screenshots go to the folder *pictures*."""
    node = shutil.which("node")
    assert node, "node is missing: make test installs it"
    assert PUPPETEER.is_dir(), f"{PUPPETEER} is missing: make test installs it"
    pictures.mkdir(parents=True, exist_ok=True)
    script = ROOT / "tests" / "node" / "view_study.mjs"
    command = [node, script, PUPPETEER, find_browser(), url, study_instance_uid, pictures, json.dumps(steps)]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert seen.returncode == 0, seen.stderr
    return dict(json.loads(seen.stdout))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, orthanc: LocalOrthanc, *request: Any) -> None:
        self.orthanc = orthanc
        super().__init__(*request)

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web/"):
            # Orthanc makes the addresses of bulk data from the host that the browser asked.
            headers = {name: self.headers[name] for name in ("Accept", "Host")}
            answer = self.orthanc.http.get(self.path, headers=headers)
            self._answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)
        else:
            path = self._file()
            self._answer(200, mimetypes.guess_type(path)[0] or "application/octet-stream", path.read_bytes())

    def _file(self) -> Path:
        name = self.path.partition("?")[0].lstrip("/")
        if name == "app-config.js":
            return CONFIGURATION
        path = VIEWER / name
        # The viewer's own routes, such as /viewer, are all one page.
        return path if path.is_file() and path.is_relative_to(VIEWER) else VIEWER / "index.html"

    def _answer(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Not into the tests' output."""
