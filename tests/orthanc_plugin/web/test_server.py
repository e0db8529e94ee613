"""The real server on a socket: what a caller may hold open or send."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from orthanc_plugin.pipeline.process_memory import resident_bytes
from orthanc_plugin.web import server as bounds
from orthanc_plugin.web.server import build_server

MIB = 2**20


class Told(BaseModel):
    text: str


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(bounds, "REQUEST_SECONDS", 0.5)
    application = FastAPI()

    @application.post("/told")
    def told(body: Told) -> int:
        return len(body.text)

    @application.get("/read")
    def read() -> str:
        return "something"

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = build_server(application)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def connected(port: int, text: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5.0)
    connection.sendall(text)
    return connection


def end_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends it; none within the socket's time-out raises."""
    received = b""
    with closing(connection):
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
    return received


def test_a_sound_request_is_answered_again_and_again(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for _ in range(3):
            assert client.post("/told", json={"text": "x" * 1000}).json() == 1000
            time.sleep(0.3)


@pytest.mark.parametrize("begun", [b"", b"GET /read HTT", b"GET /read HTTP/1.1\r\nHost: x\r\nX-Half: o"])
def test_a_request_that_does_not_come_ends_the_connection(port: int, begun: bytes) -> None:
    assert end_of(connected(port, begun)) == b""


def test_a_second_request_that_does_not_come_ends_it_too(port: int) -> None:
    connection = connected(port, b"GET /read HTTP/1.1\r\nHost: x\r\n\r\nGET /re")
    assert end_of(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    head = b"POST /told HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    assert end_of(connected(port, head)).startswith(b"HTTP/1.1 408")


def test_a_long_body_is_refused_by_its_announcement(port: int) -> None:
    head = f"POST /told HTTP/1.1\r\nHost: x\r\nContent-Length: {300 * MIB}\r\n\r\n".encode()
    assert end_of(connected(port, head)).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("route", ["POST /told", "GET /read", "POST /nowhere"])
def test_a_long_body_that_nobody_announced_takes_no_memory(port: int, route: str) -> None:
    before = resident_bytes(threading.get_native_id()) or 0
    head = f"{route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection = connected(port, head.encode())
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    try:
        for _ in range(100):
            connection.sendall(chunk)
    except OSError:
        pass
    connection.close()
    after = resident_bytes(threading.get_native_id()) or 0
    assert after - before < 20 * MIB


def test_many_connections_are_bounded_and_end_by_themselves(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(bounds, "REQUEST_SECONDS", 2.0)
    open_ones = [connected(port) for _ in range(20)]
    assert end_of(connected(port)) == b""
    # None of the others has ended by then.
    assert select.select(open_ones, [], [], 0)[0] == []
    assert [end_of(one) for one in open_ones] == [b""] * 20
    assert httpx.get(f"http://127.0.0.1:{port}/read", trust_env=False).json() == "something"
