# SPDX-License-Identifier: AGPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The curia-pacs authors
"""Curia inside Orthanc: tells the service of studies, passes its routes on, adds a button, keeps it running.

    "Curia": {"Python": "/opt/curia/bin/python", "Settings": "/etc/curia.toml"}     Orthanc runs the service
    "Curia": {"ServiceUrl": "http://127.0.0.1:8790", "Token": "…"}                  somebody else does
    "Curia": {"ServiceUrl": "https://curia.example", "Token": "…", "ServiceCa": "/etc/ssl/hospital.pem"}     behind TLS

Standard library only, since this runs in Orthanc's own interpreter. Nothing may escape: an exception while this file
is imported keeps Orthanc from starting. There is no stored-instance callback and no REST write, which can lock
Orthanc up together, and a callback does no more than put an event into a queue.
"""

import base64
import contextlib
import functools
import http.client
import json
import os
import queue
import secrets
import ssl
import subprocess
import threading
import time
import urllib.parse

import orthanc

JSON, STUDY = "application/json", "/curia/studies/([0-9a-f-]+)"
PASSED_ON = {"content-security-policy", "cache-control", "referrer-policy", "x-content-type-options", "x-frame-options"}
ROUTES = ("/curia/worklist", "/curia/health", "/curia/audit", "/curia/static/([a-z_/]+[.][a-z]+)")
PARTS = ("run", "fhir", "judgements", "report", "evidence", "similarity", "cut", "regions")
NO_ANSWER = b'{"detail": "the Curia service does not answer; the logs of both say why"}\n'


def guarded(function):
    """Log what goes wrong instead of letting it into Orthanc."""

    def call(*arguments, **keywords):
        try:
            return function(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 - what escapes from here stops Orthanc
            orthanc.LogError(f"Curia: {function.__name__}: {type(error).__name__}: {error}")

    return call


def way_to(url, authorities):
    """The service's address, and what opens a connection to it; with https:// only to whom *authorities* vouch for."""
    scheme, address, *_ = urllib.parse.urlsplit(url)
    if scheme == "http" and address and authorities is None:
        return address, functools.partial(http.client.HTTPConnection, address, timeout=5)
    if scheme != "https" or not address:
        raise ValueError("ServiceUrl: expected http://host:port or https://host:port, and ServiceCa with https:// only")
    if authorities is not None and not os.path.isfile(authorities):
        raise ValueError(f"ServiceCa: expected a file of certificates, found none at {authorities}")
    context = ssl.create_default_context(cafile=authorities)
    return address, functools.partial(http.client.HTTPSConnection, address, timeout=5, context=context)


def logged_in(authorization):
    """The user of a basic log-in, which Orthanc has checked; empty where it wants none or another kind."""
    try:
        return base64.b64decode(authorization.partition(" ")[2], validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


class Service:
    """The service as Orthanc sees it: an address and, if Orthanc is to run it, a process.

    ServiceCa : file of the authorities that vouch for an https:// address; none takes those of the system
    """

    def __init__(self, port, Python=None, ServiceUrl="http://127.0.0.1:8790", Token=None, Settings="", ServiceCa=None):
        self.python, (self.address, self.connect) = Python, way_to(ServiceUrl, ServiceCa)
        if Python and ServiceUrl.startswith("https"):
            raise ValueError("Python: expected http:// in ServiceUrl, the service that Orthanc runs has no certificate")
        self.token, self.process = Token or secrets.token_hex(32), None
        self.stopping, self.events = threading.Event(), queue.SimpleQueue()
        self.environment = {"CURIA_ORTHANC_URL": f"http://127.0.0.1:{port}", "CURIA_LISTEN": self.address}
        self.environment |= {"CURIA_TOKEN": self.token, "CURIA_SETTINGS": Settings, "CURIA_STOP_WITH_STDIN": "true"}

    def call(self, method, path, body=None, **headers):
        headers |= {"Authorization": f"Bearer {self.token}", "Content-Type": JSON}
        try:
            with contextlib.closing(self.connect()) as connection:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                kept = {name: value for name, value in answer.getheaders() if name.lower() in PASSED_ON}
                return answer.status, answer.getheader("Content-Type", "text/plain"), answer.read(), kept
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no number where one must stand
            orthanc.LogWarning(f"Curia: no answer to {method}: {type(error).__name__}: {error}")
            return 503, JSON, NO_ANSWER, {}

    def pass_on(self, output, uri, **request):
        given = {name.lower(): value for name, value in request["headers"].items()}
        asked = {name.title(): given[name] for name in ("accept", "sec-fetch-site") if name in given}
        asked["X-Curia-User"] = urllib.parse.quote(logged_in(given.get("authorization", "")))
        path = uri + "?" + urllib.parse.urlencode(request.get("get") or {})
        status, kind, body, headers = self.call(request["method"], path, request.get("body"), **asked)
        for name, value in headers.items():
            output.SetHttpHeader(name, value)
        if status == 200:
            return output.AnswerBuffer(body, kind)
        text = body.decode(errors="replace")
        output.SetHttpHeader("Content-Type", kind)
        # Orthanc keeps these two for itself: 401 is its own log-in, 405 would need the list of methods.
        answer = {401: 502, 405: 400}.get(status, status), text, len(text.encode())
        try:
            output.SendHttpStatus(*answer)
        except TypeError:  # newer Python plugins count the bytes themselves
            output.SendHttpStatus(*answer[:2])

    @guarded
    def on_change(self, change, level, resource):
        if change == orthanc.ChangeType.ORTHANC_STOPPED:
            self.stop()
        elif change in (orthanc.ChangeType.STABLE_STUDY, orthanc.ChangeType.ORTHANC_STARTED):
            self.events.put({"study": resource or None})

    def send_nudges(self):
        while True:
            self.send_nudge(self.events.get())

    @guarded
    def send_nudge(self, event):
        self.call("POST", "/nudge", json.dumps(event).encode())

    def keep_running(self):
        seconds = 0
        while not self.stopping.wait(seconds):
            started = time.monotonic()
            self.run_once()
            # One that ran for a while did not fail at its start.
            seconds = 1 if time.monotonic() - started > 60 else min(60, 2 * seconds or 1)

    @guarded
    def run_once(self):
        environment, command = {**os.environ, **self.environment}, [self.python, "-m", "orthanc_plugin"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        orthanc.LogWarning(f"Curia: the service ended with status {self.process.wait()}")

    def stop(self):
        self.stopping.set()
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(15)


@guarded
def start():
    settings = json.loads(orthanc.GetConfiguration())
    service = Service(settings.get("HttpPort", 8042), **settings.get("Curia", {}))
    for route in (
        *ROUTES,
        STUDY,
        *(
            STUDY + part
            for part in ("/run", "/fhir", "/judgements", "/report", "/evidence", "/similarity", "/cut", "/regions")
        ),
    ):
        orthanc.RegisterRestCallback(route, service.pass_on)
    orthanc.RegisterOnChangeCallback(service.on_change)
    with open(__file__.replace("plugin.py", "button.js"), encoding="utf-8") as script:
        orthanc.ExtendOrthancExplorer(script.read())
    threading.Thread(target=service.send_nudges, daemon=True).start()
    if service.python:
        service.environment["CURIA_ORTHANC_AUTHORIZATION"] = orthanc.GenerateRestApiAuthorizationToken()
        threading.Thread(target=service.keep_running, daemon=True).start()


start()
