"""Who may call what, and what a browser may do with the answers."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import FastAPI, Header, HTTPException, Request, Response

from orthanc_plugin.ledger.audit import Audit
from orthanc_plugin.site.roles import Role, Roles

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


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets callers in by the shared secret, and the people behind the plugin by their roles.

    The plugin has the secret and says in a header who is logged in at Orthanc. A caller with the secret that names
    nobody is a program of the site's and may do everything.

    token : the secret; None lets every caller in, as on loopback
    """

    token: str | None
    roles: Roles
    audit: Audit

    def may(self, role: Role, action: str | None = None) -> Callable[..., str]:
        """What a route depends on: 401, 403 or the person's name.

        action : what the audit trail calls it; None for what is not worth a line, such as a list that renews itself
        """

        def check(
            request: Request,
            authorization: Annotated[str, Header()] = "",
            x_curia_user: Annotated[str | None, Header()] = None,
            sec_fetch_site: Annotated[str, Header()] = "none",
        ) -> str:
            self.check_token(authorization)
            if request.method == "POST" and sec_fetch_site not in ("same-origin", "none"):
                # The browser itself says that another site's page asked; it would send the log-in along.
                raise HTTPException(403, "a page of another site may not ask for this")
            person = unquote(x_curia_user or "")
            allowed = x_curia_user is None or self.roles.has(person, role)
            if action is not None or not allowed:
                study = request.path_params.get("orthanc_id")
                self.audit.note(person, action or role, orthanc_id=study, allowed=allowed)
            if not allowed:
                raise HTTPException(403, f"this needs the role {role!r}; the service's settings say who has it")
            return person

        return check

    def check_token(self, authorization: Annotated[str, Header()] = "") -> None:
        """401 without the secret."""
        expected = f"Bearer {self.token}"
        if self.token is not None and not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(401, "the service token is missing or wrong")


def add_page_headers(application: FastAPI) -> None:
    """Set the pages' headers on every answer, errors too."""

    @application.middleware("http")
    async def with_headers(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = await proceed(request)
        for name, value in HEADERS.items():
            answer.headers[name] = value
        return answer
