"""Headers that keep a browser from doing with our pages what they are not meant for."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

HEADERS = {
    # Scripts and styles from our own files only; data of the archive from the page's own origin.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


def add_page_headers(application: FastAPI) -> None:
    """On every answer, errors too."""

    @application.middleware("http")
    async def with_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await proceed(request)
        for name, value in HEADERS.items():
            answer.headers[name] = value
        return answer
