"""A network between service and Orthanc that breaks when it is told to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class CuttingProxy(ThreadingHTTPServer):
    """Passes everything on to Orthanc, except what it is to cut.

    cut : called, once, when the connection of upload number *cut_at* is broken
    answers_are_lost : break it after Orthanc has the object and before the sender knows, else before Orthanc has it
    before_upload : called before the first upload is passed on
    altered : what comes in place of Orthanc's answer to a GET, made of its path and that answer
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _CuttingHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.client = httpx.Client(base_url=target, trust_env=False, timeout=30.0)
        self.cut: Callable[[], object] | None = None
        self.cut_at = 1
        self.answers_are_lost = False
        self.before_upload: Callable[[], object] | None = None
        self.altered: Callable[[str, bytes], bytes] = lambda _, answer: answer
        self.stored = 0


class _CuttingHandler(BaseHTTPRequestHandler):
    server: CuttingProxy

    def do_GET(self) -> None:
        self._pass_on(b"")

    do_DELETE = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_upload = self.path == "/instances"
        self.server.stored += is_upload
        if is_upload and self.server.before_upload is not None:
            before_upload, self.server.before_upload = self.server.before_upload, None
            before_upload()
        if is_upload and self.server.cut is not None and self.server.stored == self.server.cut_at:
            if self.server.answers_are_lost:
                self._ask_orthanc(body)
            self.server.cut()
            self.close_connection = True
            return
        self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        answer = self._ask_orthanc(body)
        content = self.server.altered(self.path, answer.content) if self.command == "GET" else answer.content
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _ask_orthanc(self, body: bytes) -> httpx.Response:
        headers = {"Authorization": self.headers["Authorization"], "Accept-Encoding": "identity"}
        return self.server.client.request(self.command, self.path, content=body, headers=headers)

    def log_message(self, *_: object) -> None:
        """Not on the test's terminal."""


@contextmanager
def cutting_proxy(target: str) -> Iterator[CuttingProxy]:
    with CuttingProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            proxy.client.close()
            thread.join()
