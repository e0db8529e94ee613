"""The HTTP server, with bounds on what a caller may hold open or send."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
"""Orthanc's own requests come from at most as many threads as it has, 50 by default."""
REQUEST_SECONDS = 10.0
"""Time in which a caller has to send a request's header, and as much again for its body."""
MAX_BODY_BYTES = 64 * 1024
"""The longest request that the routes know, a judgement with its comment, has some thousand."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def build_server(application: FastAPI) -> uvicorn.Server:
    configuration = uvicorn.Config(
        BoundedBodies(application),
        http=BoundedConnection,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    return uvicorn.Server(configuration)


class BoundedConnection(H11Protocol):
    """Ends connections beyond ``MAX_CONNECTIONS``, and one on which no request begins within ``REQUEST_SECONDS``.

    uvicorn itself waits for a request's header for ever, and ends a connection only when it rests after an answer.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    def _await_request(self) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._end_without_request)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_without_request(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class BoundedBodies:
    """Refuses a body of more than ``MAX_BODY_BYTES``, and one that is not there within ``REQUEST_SECONDS``."""

    def __init__(self, application: FastAPI) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        lengths = [int(value) for name, value in scope.get("headers", ()) if name == b"content-length"]
        if sum(lengths) > MAX_BODY_BYTES:
            await _refuse_length(send)
            return
        await self._application(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    received, is_whole = 0, False

    async def bounded() -> Message:
        nonlocal received, is_whole
        if is_whole:
            # What comes now is the caller's going away, whenever that is.
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), REQUEST_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "the body did not come in time", headers={"Connection": "close"}) from None
        received += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
        if received > MAX_BODY_BYTES:
            raise HTTPException(413, _TOO_LONG, headers={"Connection": "close"})
        return message

    return bounded


_TOO_LONG = f"expected a body of at most {MAX_BODY_BYTES} bytes"


async def _refuse_length(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LONG.encode()})
