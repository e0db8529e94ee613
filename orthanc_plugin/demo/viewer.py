"""The OHIF viewer from its npm package in front of a real Orthanc, at an address of its own on loopback."""

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

CONFIGURATION = Path(__file__).with_name("ohif_config.js")
DICOM_WEB = "/dicom-web/"


class Viewer:
    """Its files at ``/``, Orthanc's DICOMweb below ``/dicom-web``.

    folder : the viewer as its makers built it
    archive_url : Orthanc's address; to be set before anybody asks
    authorization : for Orthanc; None asks with what the browser sends, and Orthanc's wish for a log-in goes to it
    """

    def __init__(self, folder: Path, *, archive_url: str = "", authorization: str | None = None) -> None:
        self.folder = folder
        self.archive_url = archive_url
        self.authorization = authorization
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def study_url(self) -> str:
        """Of a study, with a place for its Study Instance UID."""
        return f"{self.url}/viewer?StudyInstanceUIDs={{study_instance_uid}}"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, viewer: Viewer, *request: Any) -> None:
        self._viewer = viewer
        super().__init__(*request)

    def do_GET(self) -> None:
        if self.path.startswith(DICOM_WEB):
            self._ask_archive()
        else:
            path = self._file()
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            self._answer(200, {"Content-Type": kind}, path.read_bytes())

    def _ask_archive(self) -> None:
        # Orthanc makes the addresses of bulk data from the host that the browser asked.
        headers = {name: self.headers[name] for name in ("Accept", "Host", "Authorization") if name in self.headers}
        if self._viewer.authorization is not None:
            headers["Authorization"] = self._viewer.authorization
        answer = httpx.get(self._viewer.archive_url + self.path, headers=headers, timeout=30.0, trust_env=False)
        kept = {name: answer.headers[name] for name in ("Content-Type", "WWW-Authenticate") if name in answer.headers}
        self._answer(answer.status_code, kept, answer.content)

    def _file(self) -> Path:
        name = self.path.partition("?")[0].lstrip("/")
        if name == "app-config.js":
            return CONFIGURATION
        folder = self._viewer.folder.resolve()
        path = (folder / name).resolve()
        # The viewer's own routes, such as /viewer, are all one page.
        return path if path.is_file() and path.is_relative_to(folder) else folder / "index.html"

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Not on the terminal."""
