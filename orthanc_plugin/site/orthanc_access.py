"""How the service reaches Orthanc's REST API."""

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class OrthancAccess:
    """Where Orthanc answers, and as whom we ask.

    url : base address
    authorization : value for that header, before *username* and *password*.
    """

    url: str
    username: str | None = None
    password: SecretStr | None = None
    authorization: SecretStr | None = None
