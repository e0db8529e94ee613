"""The warm pipeline process: started once, asked study by study, replaced when it dies, hangs or grows.

It speaks JSON lines (``orthanc_plugin.pipeline.protocol``). It ends when its standard input closes, so it outlives this
service at most by the study under way.
"""

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

import structlog
from pydantic import ValidationError

from orthanc_plugin.domain.errors import ServiceStopping, WorkerCrashError, WorkerStartError
from orthanc_plugin.pipeline.process_memory import resident_bytes
from orthanc_plugin.pipeline.protocol import EXIT_RESOURCE, FIRST_MESSAGE, Greeting, Reply, Request

_log = structlog.get_logger("curia.worker")

_SECRETS = frozenset({"CURIA_TOKEN", "CURIA_ORTHANC_AUTHORIZATION", "CURIA_ORTHANC_PASSWORD"})
_TICK_SECONDS = 0.1
_STOP_SECONDS = 2.0

M = TypeVar("M")


class Worker:
    """One child process and the right to talk to it; a second caller waits for its turn.

    ready_seconds, deadline_seconds : bounds on loading the model and on one request
    max_resident_bytes : a process that holds more after a study is replaced
    stop : set when the service goes down; every wait then ends in ``ServiceStopping``
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready_seconds: float,
        deadline_seconds: float,
        max_resident_bytes: float,
        stop: threading.Event,
    ) -> None:
        self._command = tuple(command)
        self._ready_seconds = ready_seconds
        self._deadline_seconds = deadline_seconds
        self._max_resident_bytes = max_resident_bytes
        self._stop = stop
        self._turn = threading.Lock()
        self._child: _Child | None = None
        self.trouble: str | None = None
        """Why the last start failed, until one succeeds."""
        self.starts = 0
        self.device_bytes: int | None = None
        """Most memory of its device that the process reserved for the last study, where it has such a device."""

    @property
    def identity(self) -> Greeting | None:
        """What the ready process greeted with; None where none is ready."""
        child = self._child
        return child.identity if child is not None and child.is_alive else None

    @property
    def resident_bytes(self) -> int | None:
        child = self._child
        return None if child is None else resident_bytes(child.pid)

    def start(self) -> Greeting:
        """Have a ready process; ``WorkerStartError`` when it does not come up."""
        self._take_turn()
        try:
            return self._ready_child().identity
        finally:
            self._turn.release()

    def ask(self, request: Request) -> Reply:
        """The answer; ``WorkerCrashError`` when the process dies or overruns on it."""
        self._take_turn()
        try:
            child = self._ready_child()
            child.send(request)
            reply = child.receive_reply(self._deadline_seconds, self._stop)
            if reply.id != request.id:
                raise _NoAnswerError("the worker answered another request than it was asked")
            self._note_memory(reply)
        except _NoAnswerError as error:
            self._drop_child()
            raise WorkerCrashError(str(error)) from error
        finally:
            self._turn.release()
        return reply

    def close(self) -> None:
        """End the process, whoever waits for it."""
        self._drop_child()

    def _take_turn(self) -> None:
        while not self._turn.acquire(timeout=_TICK_SECONDS):
            if self._stop.is_set():
                raise ServiceStopping

    def _ready_child(self) -> "_Child":
        if self._stop.is_set():
            raise ServiceStopping
        if self._child is None or not self._child.is_alive:
            self._drop_child()
            started = time.monotonic()
            try:
                self.starts += 1
                self._child = _Child(self._command)
                self._child.wait_ready(self._ready_seconds, self._stop)
            except WorkerStartError as error:
                self.trouble = str(error)
                raise
            self.trouble = None
            _log.info("worker ready", seconds=round(time.monotonic() - started, 2), pid=self._child.pid)
        return self._child

    def _note_memory(self, reply: Reply) -> None:
        """Replace a process that ran out of memory, or grew beyond its bound: a fresh one has all of it again."""
        self.device_bytes = reply.device_bytes
        resident = self.resident_bytes or 0
        if reply.exit_code == EXIT_RESOURCE or resident > self._max_resident_bytes:
            _log.warning("worker replaced", resident_bytes=resident, exit_code=reply.exit_code)
            self._drop_child()

    def _drop_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _NoAnswerError(Exception):
    """The process died or was silent for too long."""


class _Child:
    """The process itself, with a thread that turns its output into messages; ``None`` is the end."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=_environment()
            )
        except OSError as error:
            raise WorkerStartError(f"worker: {command[0]} cannot be started: {error.strerror}") from error
        self._messages: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._identity: Greeting | None = None
        assert self._process.stdout is not None
        threading.Thread(
            target=_read_messages, args=(self._process.stdout, self._messages), name="worker-output", daemon=True
        ).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._identity is not None and self._process.poll() is None

    @property
    def identity(self) -> Greeting:
        assert self._identity is not None
        return self._identity

    def wait_ready(self, seconds: float, stop: threading.Event) -> None:
        try:
            message = _understood(FIRST_MESSAGE.validate_json, self._receive(seconds, stop))
        except _NoAnswerError as error:
            self.end()
            raise WorkerStartError(f"the pipeline did not come up: {error}") from error
        if not isinstance(message, Greeting):
            self.end()
            raise WorkerStartError(f"the pipeline did not come up: {message.message}")
        self._identity = message

    def send(self, request: Request) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request.model_dump_json() + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise _NoAnswerError("the worker had died before it was asked") from error

    def receive_reply(self, seconds: float, stop: threading.Event) -> Reply:
        return _understood(Reply.model_validate_json, self._receive(seconds, stop))

    def _receive(self, seconds: float, stop: threading.Event) -> str:
        deadline = time.monotonic() + seconds
        while not stop.is_set():
            try:
                message = self._messages.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise _NoAnswerError(f"no answer within {seconds:g} s") from None
                continue
            if message is None:
                raise _NoAnswerError(self._describe_end())
            return message
        raise ServiceStopping

    def _describe_end(self) -> str:
        try:
            return f"the worker ended with status {self._process.wait(_TICK_SECONDS)}"
        except subprocess.TimeoutExpired:
            return "the worker closed its standard output"

    def end(self) -> None:
        """Ask by closing its input, then insist: no need to wait for the study under way, it will be run again."""
        assert self._process.stdin is not None
        # A request that the process's death cut off may still be in the buffer, which close() flushes.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _understood(parse: Callable[[str], M], line: str) -> M:
    try:
        return parse(line)
    except ValidationError:
        raise _NoAnswerError("the worker broke the protocol on its standard output") from None


def _read_messages(output: IO[str], messages: "queue.SimpleQueue[str | None]") -> None:
    with output:
        try:
            for line in output:
                messages.put(line)
        except ValueError:
            _log.error("worker wrote something that is not text")
    messages.put(None)


def _environment() -> dict[str, str]:
    """Ours without the keys to Orthanc: the worker parses files from anywhere and needs none of them."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}
