"""plugin.py in an interpreter of its own kind: a stand-in ``orthanc`` module whose other calls raise."""

import ast
import importlib.util
import json
import sys
import threading
import types
from enum import Enum
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

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
    assert len(code) < 85


def test_routes_pass_query_accept_and_token_on(monkeypatch: pytest.MonkeyPatch, service: Any) -> None:
    orthanc = load(monkeypatch, ServiceUrl=service.url, Token="t0ken")
    output = ask(orthanc, "/curia/worklist", "/curia/worklist", get={"limit": "5"}, headers={"accept": "text/html"})
    assert (output.status, output.kind, output.body.decode()) == (200, "text/html", "größer")
    _, path, headers, _ = service.asked[0]
    assert path == "/curia/worklist?limit=5"
    assert (headers["Accept"], headers["Authorization"]) == ("text/html", "Bearer t0ken")


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
