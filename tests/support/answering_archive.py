"""A small HTTP server that answers like Orthanc, or fails like it, and a client of it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

from orthanc_plugin.archive.orthanc_client import OrthancClient
from orthanc_plugin.site.orthanc_access import OrthancAccess


class Archive(ThreadingHTTPServer):
    """answers : per "METHOD /path", a list of (status, body); the last one is repeated. seen : what was asked."""

    daemon_threads = True

    def __init__(self, answers: dict[str, list[tuple[int, Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.seen: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Archive

    def do_GET(self) -> None:
        name = f"{self.command} {self.path}"
        self.server.seen.append((name, dict(self.headers)))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        queue = self.server.answers[name]
        status, body = queue.pop(0) if len(queue) > 1 else queue[0]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_DELETE = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Not on the test's terminal."""


@contextmanager
def archive(**answers: list[tuple[int, Any]]) -> Iterator[tuple[OrthancClient, Archive]]:
    server = Archive({name.replace("__", " /").replace("_", "/"): queue for name, queue in answers.items()})
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    access = OrthancAccess(f"http://127.0.0.1:{server.server_port}", authorization=SecretStr("secret"))
    client = OrthancClient(access, patience_seconds=2.0, stop=threading.Event())
    yield client, server
    client.close()
    server.shutdown()
    server.server_close()
