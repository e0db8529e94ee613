"""The service's life from start to stop: its one data folder, its threads, its address."""

import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
from fastapi import FastAPI

from orthanc_plugin.assembly import assemble
from orthanc_plugin.domain.errors import SettingsError
from orthanc_plugin.site.settings import ServiceSettings
from orthanc_plugin.web.server import build_server

LOCK_SECONDS = 20.0
"""A predecessor that was told to stop may still be ending its worker."""
JOIN_SECONDS = 10.0

_log = structlog.get_logger("curia.service")


def serve(settings: ServiceSettings) -> None:
    """Run until SIGTERM, SIGINT or, when the plugin started us, the end of standard input."""
    stop = threading.Event()
    _stop_on_signals(stop)
    if settings.stop_with_stdin:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), name="stdin", daemon=True).start()
    with _only_one(settings.data_folder, stop), _listening_socket(settings) as listener:
        if not stop.is_set():
            _run(settings, listener, stop)
    _log.info("stopped")


def _run(settings: ServiceSettings, listener: socket.socket, stop: threading.Event) -> None:
    with ExitStack() as closing:
        parts = assemble(settings, stop=stop, closing=closing)
        # Before anything of ours runs, so that no other host takes what is being taken up here.
        parts.watchdog.look(time.monotonic())
        parts.engine.start()
        for name, run in parts.threads:
            closing.enter_context(_running(name, stop, run))
        # Wakes the intake up, so that it need not sleep to its next look before it can end.
        closing.callback(parts.intake.nudge)
        closing.enter_context(_serving(parts.web, listener, stop))
        _log.info("started", listen=settings.listen)
        stop.wait()
        _log.info("stopping")


@contextmanager
def _serving(web: FastAPI, listener: socket.socket, stop: threading.Event) -> Iterator[None]:
    # In a thread of its own, uvicorn leaves the signals alone; in the main thread it would raise them again.
    server = build_server(web)
    with _running("web", stop, server.run, [listener]):
        try:
            yield
        finally:
            server.should_exit = True


@contextmanager
def _running(name: str, stop: threading.Event, target: Callable[..., object], *arguments: object) -> Iterator[None]:
    """A thread for the time of the block; one that ends before it was told to takes the service down.

    Whoever watches the service starts it again, which is better than a service that is deaf in one ear.
    """

    def run() -> None:
        try:
            target(*arguments)
        finally:
            if not stop.is_set():
                _log.error("a thread ended early", thread=name)
            stop.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(JOIN_SECONDS)


@contextmanager
def _listening_socket(settings: ServiceSettings) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(f"listen: {settings.listen} cannot be used: {error.strerror}") from error
        yield listener


@contextmanager
def _only_one(data_folder: Path, stop: threading.Event) -> Iterator[None]:
    """Hold the data folder: two services on one would take one another's work for their own."""
    with (data_folder / "service.lock").open("w") as lock:
        for _ in range(int(LOCK_SECONDS / 0.2)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.2):
                    break
        else:
            raise SettingsError(f"data_folder: another service is running on {data_folder}")
        yield


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not sys.stdin's own buffer, whose lock this thread would hold while the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()
