"""A service that says what it is told to, word for word, with a certificate of its own where it is to have one."""

import queue
import re
import socketserver
import ssl
import subprocess
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def answering(*answers: bytes, tls: ssl.SSLContext | None = None) -> Iterator[types.SimpleNamespace]:
    """A socket that gives each request the next of the answers, word for word, the last one again and again."""
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    remaining = list(answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            length = re.search(rb"(?i)content-length: (\d+)", head)
            asked.put(head + self.rfile.read(int(length[1]) if length else 0))
            self.wfile.write(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    class Server(socketserver.TCPServer):
        def get_request(self) -> tuple[Any, Any]:
            connection, address = super().get_request()
            return (connection if tls is None else tls.wrap_socket(connection, server_side=True)), address

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield types.SimpleNamespace(port=server.server_address[1], asked=asked)
        server.shutdown()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Certificate and key, good for the name localhost alone and for one day."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key
