"""A real Orthanc on free loopback ports, with our plugin and service, in a folder of its own."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from orthanc_plugin.domain.errors import ServiceError

PLUGIN_SCRIPT = Path(__file__).parents[1] / "plugin.py"
PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))
PLUGINS = ("libOrthancPython.so", "libOrthancDicomWeb.so")
INSTALL_LINE = "apt-get install -y --no-install-recommends orthanc orthanc-python orthanc-dicomweb"
USER = "curia"
CALLING_AET, ORTHANC_AET = "CURIADEMO", "ORTHANC"
START_SECONDS, STOP_SECONDS = 30.0, 40.0
FIRST_PORT, FIRST_OUTGOING_PORT = 20_000, 32_768


class OrthancMissingError(ServiceError):
    code = "orthanc-missing"


class LocalOrthanc:
    """Start with ``with``, or with ``start`` and ``stop`` to see what outlives a restart.

    folder : configuration, storage, logs and the service's data go here and survive a restart
    service : settings of the service that Orthanc is to run, or None to run without one
    curia : the "Curia" section of Orthanc's configuration, when it is to be another than the one made here
    extra : further keys of Orthanc's configuration
    """

    def __init__(
        self,
        folder: Path,
        *,
        stable_age_seconds: int = 2,
        service: Mapping[str, Any] | None = None,
        curia: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(12)
        self.http_port, self.dicom_port, self.service_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.log = folder / "orthanc.log"
        self.service_log = folder / "service.log"
        self.data_folder = folder / "curia"
        folder.mkdir(parents=True, exist_ok=True)
        section = self._curia_section(service) if curia is None else dict(curia)
        self._write_configuration(stable_age_seconds, section, extra or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def http(self) -> httpx.Client:
        """A client with our credentials."""
        assert self._http is not None, "Orthanc is not running"
        return self._http

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def worklist_url(self) -> str:
        return f"{self.url}/curia/worklist"

    @property
    def pid(self) -> int:
        assert self._process is not None, "Orthanc is not running"
        return self._process.pid

    def start(self) -> None:
        with self.service_log.open("ab") as errors:
            self._process = subprocess.Popen(
                [_find_orthanc(), f"--logfile={self.log}", str(self.folder / "orthanc.json")],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        self._http = httpx.Client(
            base_url=self.url, auth=(USER, self.password), timeout=30.0, trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )  # fmt: skip
        self._await_start()

    def stop(self) -> None:
        """End Orthanc as its service manager would; it ends our service in turn."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def service_pid(self) -> int | None:
        """Process id of the service that this Orthanc started, if it runs."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.pid and b"orthanc_plugin" in command:
                return int(folder.name)
        return None

    @staticmethod
    def tail_of(folder: Path, lines: int = 15) -> str:
        """The last lines of the service's log, or of Orthanc's when the service said nothing."""
        for name in ("service.log", "orthanc.log"):
            path = folder / name
            if path.exists() and (text := path.read_text(errors="replace").strip()):
                return "\n".join(text.splitlines()[-lines:])
        return "(no log)"

    def _curia_section(self, service: Mapping[str, Any] | None) -> dict[str, Any]:
        section: dict[str, Any] = {"ServiceUrl": f"http://127.0.0.1:{self.service_port}"}
        if service is not None:
            settings = {"data_folder": str(self.data_folder), **service}
            path = self.folder / "service.toml"
            # JSON's strings, numbers, booleans and lists are TOML's too.
            path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
            section |= {"Python": sys.executable, "Settings": str(path)}
        return section

    def _write_configuration(self, stable_age_seconds: int, curia: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        configuration = {
            "Name": "Curia demo",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": ORTHANC_AET,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: self.password},
            # The DICOM port listens on every interface, so only our own sender is let in.
            "DicomCheckCalledAet": True,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowFind": False,
            "DicomAlwaysAllowGet": False,
            "DicomModalities": {"demo": [CALLING_AET, "127.0.0.1", 104]},
            "StableAge": stable_age_seconds,
            "Plugins": [str(_find_plugin(name)) for name in PLUGINS],
            "PythonScript": str(PLUGIN_SCRIPT),
            "PythonVerbose": False,
            "Curia": curia,
            **extra,
        }
        (self.folder / "orthanc.json").write_text(json.dumps(configuration, indent=2))

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                if self.http.get("/system").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        self.stop()
        raise ServiceError(f"Orthanc did not come up, see {self.log}")

    def _end(self, number: signal.Signals) -> None:
        with ExitStack() as stack:
            if self._http is not None:
                stack.callback(self._http.close)
            if self._process is not None:
                self._process.send_signal(number)
                try:
                    self._process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
        self._process = self._http = None


def _find_orthanc() -> str:
    path = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise OrthancMissingError(f"Orthanc is not installed; as root: {INSTALL_LINE}")
    return path


def _find_plugin(name: str) -> Path:
    for folder in PLUGIN_FOLDERS:
        if (folder / name).exists():
            return folder / name
    raise OrthancMissingError(f"Orthanc's {name} is not installed; as root: {INSTALL_LINE}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at, below those that Linux gives to connections that go out.

    One of the latter could be taken again between now and the start of whoever is to listen at it.
    """
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            port = FIRST_PORT + secrets.randbelow(FIRST_OUTGOING_PORT - FIRST_PORT)
            with suppress(OSError):
                one.bind(("", port))
                found.append(port)
    return found
