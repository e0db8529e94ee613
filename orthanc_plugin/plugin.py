# SPDX-License-Identifier: AGPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The curia-pacs authors
"""Curia inside Orthanc: tells the service of studies, passes its routes on, adds a button, keeps it running.

    "Curia": {"Python": "/opt/curia/bin/python", "Settings": "/etc/curia.toml"}     Orthanc runs the service
    "Curia": {"ServiceUrl": "http://127.0.0.1:8790", "Token": "…"}                  somebody else does

Standard library only, since this runs in Orthanc's own interpreter. Nothing may escape: an exception while this file
is imported keeps Orthanc from starting. There is no stored-instance callback and no REST write, which can lock
Orthanc up together, and a callback does no more than put an event into a queue.
"""

import http.client
import json
import os
import queue
import secrets
import subprocess
import threading
import urllib.parse

import orthanc

JSON, STUDY = "application/json", "/curia/studies/([0-9a-f-]+)"
NO_ANSWER = b'{"detail": "the Curia service does not answer; its log says why"}\n'


def guarded(function):
    """Log what goes wrong instead of letting it into Orthanc."""

    def call(*arguments, **keywords):
        try:
            return function(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 - what escapes from here stops Orthanc
            orthanc.LogError(f"Curia: {function.__name__}: {type(error).__name__}: {error}")

    return call


class Service:
    """The service as Orthanc sees it: an address and, if Orthanc is to run it, a process."""

    def __init__(self, port, Python=None, ServiceUrl="http://127.0.0.1:8790", Token=None, Settings=""):
        self.python, self.address = Python, urllib.parse.urlsplit(ServiceUrl).netloc
        self.token, self.process = Token or secrets.token_hex(32), None
        self.stopping, self.events = threading.Event(), queue.SimpleQueue()
        self.environment = {"CURIA_ORTHANC_URL": f"http://127.0.0.1:{port}", "CURIA_LISTEN": self.address}
        self.environment |= {"CURIA_TOKEN": self.token, "CURIA_SETTINGS": Settings, "CURIA_STOP_WITH_STDIN": "true"}

    def call(self, method, path, body=None, accept="*/*"):
        headers = {"Accept": accept, "Authorization": f"Bearer {self.token}", "Content-Type": JSON}
        try:
            connection = http.client.HTTPConnection(self.address, timeout=5)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()
        except OSError:
            return 503, JSON, NO_ANSWER

    def pass_on(self, output, uri, **request):
        accept = {name.lower(): value for name, value in request["headers"].items()}.get("accept", "*/*")
        path = uri + "?" + urllib.parse.urlencode(request.get("get") or {})
        status, kind, body = self.call(request["method"], path, request.get("body"), accept)
        if status == 200:
            return output.AnswerBuffer(body, kind)
        output.SetHttpHeader("Content-Type", kind)
        # Orthanc keeps these two for itself: 401 is its own log-in, 405 would need the list of methods.
        answer = {401: 502, 405: 400}.get(status, status), body.decode(), len(body)
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

    @guarded
    def send_nudges(self):
        while True:
            self.call("POST", "/nudge", json.dumps(self.events.get()).encode())

    @guarded
    def keep_running(self):
        seconds = 1
        while not self.stopping.wait(seconds if self.process else 0):
            environment, command = {**os.environ, **self.environment}, [self.python, "-m", "orthanc_plugin"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
            orthanc.LogWarning(f"Curia: the service ended with status {self.process.wait()}")
            seconds = min(60, 2 * seconds)

    def stop(self):
        self.stopping.set()
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(15)


@guarded
def start():
    settings = json.loads(orthanc.GetConfiguration())
    service = Service(settings.get("HttpPort", 8042), **settings.get("Curia", {}))
    for route in ("/curia/worklist", "/curia/health", STUDY, STUDY + "/run"):
        orthanc.RegisterRestCallback(route, service.pass_on)
    orthanc.RegisterOnChangeCallback(service.on_change)
    with open(__file__.replace("plugin.py", "button.js"), encoding="utf-8") as script:
        orthanc.ExtendOrthancExplorer(script.read())
    threading.Thread(target=service.send_nudges, daemon=True).start()
    if service.python:
        service.environment["CURIA_ORTHANC_AUTHORIZATION"] = orthanc.GenerateRestApiAuthorizationToken()
        threading.Thread(target=service.keep_running, daemon=True).start()


start()
