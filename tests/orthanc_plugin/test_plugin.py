"""plugin.py in an interpreter of its own kind: a stand-in ``orthanc`` module whose other calls raise."""

import ast
import importlib.util
import json
import ssl
import sys
import threading
import time
import types
from collections.abc import Callable
from enum import Enum
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from canned_answers import answering, make_certificate

PLUGIN = Path(__file__).parents[2] / "orthanc_plugin" / "plugin.py"


class ChangeType(Enum):
    STABLE_STUDY = 1
    ORTHANC_STARTED = 2
    ORTHANC_STOPPED = 3
    NEW_INSTANCE = 4


class FakeOrthanc(types.ModuleType):
    """Only what is set may be called."""

    ChangeType = ChangeType

    def __init__(self, configuration: dict[str, Any]) -> None:
        super().__init__("orthanc")
        self.routes: dict[str, Any] = {}
        self.errors: list[str] = []
        self.explorer = ""
        self.on_change: Any = None
        self.GetConfiguration = lambda: json.dumps(configuration)
        self.RegisterRestCallback = self.routes.__setitem__
        self.RegisterOnChangeCallback = lambda callback: setattr(self, "on_change", callback)
        self.ExtendOrthancExplorer = lambda script: setattr(self, "explorer", script)
        self.LogError = self.errors.append
        self.LogWarning = lambda _: None
        self.GenerateRestApiAuthorizationToken = lambda: "Bearer orthanc"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the plugin called orthanc.{name}")


class Output:
    def __init__(self) -> None:
        self.status, self.body, self.kind = 0, b"", ""

    def AnswerBuffer(self, body: bytes, kind: str) -> None:
        self.status, self.body, self.kind = 200, body, kind

    def SetHttpHeader(self, name: str, value: str) -> None:
        assert name == "Content-Type"
        self.kind = value

    def SendHttpStatus(self, status: int, body: str, size: int) -> None:
        assert size == len(body.encode())
        self.status, self.body = status, body.encode()


class NewerOutput(Output):
    """Of Python plugins from 5.0 on."""

    def SendHttpStatus(self, status: int, body: str) -> None:
        self.status, self.body = status, body.encode()


def load(monkeypatch: pytest.MonkeyPatch, **curia: Any) -> FakeOrthanc:
    orthanc = FakeOrthanc({"HttpPort": 8042, "Curia": curia})
    monkeypatch.setitem(sys.modules, "orthanc", orthanc)
    spec = importlib.util.spec_from_file_location("curia_plugin", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return orthanc


@pytest.fixture
def service() -> Any:
    """A service that tells what it was asked."""
    asked: list[tuple[str, str, dict[str, str], bytes]] = []
    arrived = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, dict(self.headers), body))
            arrived.set()
            answer = "größer".encode()
            self.send_response(202 if self.command == "POST" else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Not on the test's terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield types.SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked, arrived=arrived)
    server.shutdown()
    server.server_close()


def ask(
    orthanc: FakeOrthanc, route: str, uri: str, method: str = "GET", output: Output | None = None, **request: Any
) -> Output:
    output = output or Output()
    orthanc.routes[route](output, uri, method=method, **{"headers": {}, "get": {}} | request)
    return output


def test_it_is_small_and_uses_the_standard_library_only() -> None:
    tree = ast.parse(PLUGIN.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - {"orthanc"} <= set(sys.stdlib_module_names)
    docstrings = [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    ]
    prose = {line for docstring in docstrings for line in range(docstring.lineno, (docstring.end_lineno or 0) + 1)}
    lines = enumerate(PLUGIN.read_text().splitlines(), start=1)
    code = [
        line for number, line in lines if number not in prose and line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(code) < 130


def test_routes_pass_query_accept_and_token_on(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    orthanc = load(monkeypatch, ServiceUrl=service.url, Token="t0ken")
    output = ask(orthanc, "/curia/worklist", "/curia/worklist", get={"limit": "5"}, headers={"accept": "text/html"})
    assert (output.status, output.kind, output.body.decode()) == (200, "text/html", "größer")
    _, path, headers, _ = service.asked[0]
    assert path == "/curia/worklist?limit=5"
    assert (headers["Accept"], headers["Authorization"]) == ("text/html", "Bearer t0ken")


@pytest.mark.parametrize(
    ("log_in", "person"),
    [
        ("Basic YW5uYTpnZWhlaW06eA==", "anna"),
        ("Basic ZMO2cmE6eA==", "d%C3%B6ra"),
        ("Basic !", ""),
        ("Bearer x", ""),
        ("", ""),
    ],
)
def test_the_service_is_told_who_is_logged_in_and_never_the_password(
    monkeypatch: pytest.MonkeyPatch, service: Any, log_in: str, person: str
) -> None:
    orthanc = load(monkeypatch, ServiceUrl=service.url)
    ask(orthanc, "/curia/worklist", "/curia/worklist", headers={"authorization": log_in})
    headers = service.asked[-1][2]
    assert headers["X-Curia-User"] == person
    assert "geheim" not in str(headers)


def test_post_passes_method_body_and_status_on(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    orthanc = load(monkeypatch, ServiceUrl=service.url)
    output = ask(orthanc, "/curia/studies/([0-9a-f-]+)/run", "/curia/studies/0a/run", "POST", body=b"{}")
    assert output.status == 202
    assert service.asked[0][:2] == ("POST", "/curia/studies/0a/run?")
    assert service.asked[0][3] == b"{}"


def test_a_service_that_is_down_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc = load(monkeypatch, ServiceUrl="http://127.0.0.1:9")
    output = ask(orthanc, "/curia/health", "/curia/health")
    assert (output.status, output.kind) == (503, "application/json")
    assert "does not answer" in json.loads(output.body)["detail"]


def test_a_stable_study_becomes_a_nudge(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    orthanc = load(monkeypatch, ServiceUrl=service.url)
    orthanc.on_change(ChangeType.NEW_INSTANCE, 3, "instance")
    orthanc.on_change(ChangeType.STABLE_STUDY, 1, "study")
    assert service.arrived.wait(5)
    method, path, _, body = service.asked[0]
    assert (method, path, json.loads(body)) == ("POST", "/nudge", {"study": "study"})


def test_the_button_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "research" in load(monkeypatch).explorer


@pytest.mark.parametrize("curia", [{"Pyhton": "x"}, {"ServiceUrl": 7}])
def test_a_wrong_section_is_logged_and_raises_nothing(monkeypatch: pytest.MonkeyPatch, curia: dict[str, Any]) -> None:
    orthanc = load(monkeypatch, **curia)
    assert orthanc.errors
    assert orthanc.errors[0].startswith("Curia: start: ")


def test_an_error_in_a_change_callback_stays_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc = load(monkeypatch)
    monkeypatch.delattr(FakeOrthanc, "ChangeType")
    orthanc.on_change(ChangeType.STABLE_STUDY, 1, "study")
    assert "ChangeType" in orthanc.errors[0]


def test_an_error_passes_through_the_newer_python_plugin_too(monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc = load(monkeypatch, ServiceUrl="http://127.0.0.1:9")
    output = ask(orthanc, "/curia/worklist", "/curia/worklist", output=NewerOutput())
    assert output.status == 503
    assert b"does not answer" in output.body


CUT_OR_GARBAGE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "a cut body": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n<html>",
    "a cut chunk": b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + 70_000 * b"y",
    "1,000 headers": b"HTTP/1.1 200 OK\r\n" + 1_000 * b"X: y\r\n" + b"\r\n",
}


@pytest.mark.parametrize("answer", CUT_OR_GARBAGE.values(), ids=CUT_OR_GARBAGE)
def test_a_cut_or_garbage_answer_is_503_in_words(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with answering(answer) as service:
        orthanc = load(monkeypatch, ServiceUrl=f"http://127.0.0.1:{service.port}")
        output = ask(orthanc, "/curia/worklist", "/curia/worklist")
    assert (output.status, output.kind) == (503, "application/json")
    assert "does not answer" in json.loads(output.body)["detail"]


@pytest.mark.parametrize("answer", CUT_OR_GARBAGE.values(), ids=CUT_OR_GARBAGE)
def test_nudges_go_on_after_a_cut_or_garbage_answer(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    with answering(answer, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") as service:
        orthanc = load(monkeypatch, ServiceUrl=f"http://127.0.0.1:{service.port}")
        for study in (b"one", b"two"):
            orthanc.on_change(ChangeType.STABLE_STUDY, 1, study.decode())
            assert study in service.asked.get(timeout=5)


def test_an_error_in_another_encoding_and_without_a_type_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\ngr\xfc\xdf") as service:
        orthanc = load(monkeypatch, ServiceUrl=f"http://127.0.0.1:{service.port}")
        output = ask(orthanc, "/curia/worklist", "/curia/worklist")
    assert (output.status, output.kind) == (502, "text/plain")
    assert output.body.decode() == "gr\ufffd\ufffd"


def test_an_interpreter_that_is_away_for_a_moment_is_started_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, marker = tmp_path / "python", tmp_path / "started"
    orthanc = load(monkeypatch, Python=str(python))
    wait_until(lambda: any("FileNotFoundError" in error for error in orthanc.errors))
    python.write_text(f"#!/bin/sh\necho $2 > {marker}.new\nmv {marker}.new {marker}\nread line\n")
    # As in an upgrade, there it is, and cannot be run yet.
    wait_until(lambda: any("PermissionError" in error for error in orthanc.errors))
    python.chmod(0o700)
    wait_until(marker.exists)
    assert marker.read_text() == "orthanc_plugin\n"
    orthanc.on_change(ChangeType.ORTHANC_STOPPED, 0, "")
    assert len(orthanc.errors) == 2


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("has_ca", "host", "status"), [(True, "localhost", 200), (False, "localhost", 503), (True, "127.0.0.1", 503)]
)
def test_https_is_spoken_with_verification_and_the_token_goes_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path], has_ca: bool, host: str, status: int
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nfine"
    with answering(ok, tls=tls) as service:
        ca = {"ServiceCa": str(certificate[0])} if has_ca else {}
        orthanc = load(monkeypatch, ServiceUrl=f"https://{host}:{service.port}", Token="t0ken", **ca)
        output = ask(orthanc, "/curia/worklist", "/curia/worklist")
        assert output.status == status
        assert service.asked.empty() == (status == 503)


@pytest.mark.parametrize(
    ("curia", "word"),
    [
        ({"ServiceUrl": "ftp://127.0.0.1:8790"}, "ServiceUrl"),
        ({"ServiceUrl": "127.0.0.1:8790"}, "ServiceUrl"),
        ({"ServiceUrl": "https://127.0.0.1:8790", "Python": "/usr/bin/python3"}, "Python"),
        ({"ServiceUrl": "https://127.0.0.1:8790", "ServiceCa": "/nowhere/ca.pem"}, "ServiceCa"),
        ({"ServiceUrl": "http://127.0.0.1:8790", "ServiceCa": "/etc/ca.pem"}, "ServiceCa"),
    ],
)
def test_an_address_that_cannot_be_spoken_to_safely_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, curia: dict[str, Any], word: str
) -> None:
    orthanc = load(monkeypatch, **curia)
    assert orthanc.errors
    assert word in orthanc.errors[0]
    assert not orthanc.routes
