"""What the service and a worker say to one another, one JSON object a line; fields that are not named here are ignored.

The worker greets or refuses once, then answers every request with one reply. ``app.worker.protocol`` is the other end;
a contract test holds the two together.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

EXIT_DONE, EXIT_NOT_APPLICABLE, EXIT_RESOURCE, EXIT_OUTPUT = 0, 3, 6, 7
"""Of the application's exit codes, those that the service acts on."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunningModel(_Message):
    name: str
    version: str
    demonstration: bool


class Greeting(_Message):
    """The worker is up. pipeline_digest : of model, settings and code together."""

    ready: Literal[True]
    pipeline_digest: str
    model: RunningModel


class Refusal(_Message):
    """The worker does not come up, and why."""

    ready: Literal[False]
    code: str
    message: str


class ReadRequest(_Message):
    """Read the study in the folder *input* and write its results to the folder *output*.

    prior : folders of earlier studies of the same patient
    """

    verb: Literal["read"] = "read"
    id: str
    input: Path
    output: Path
    prior: tuple[Path, ...] = ()


class Reply(_Message):
    """exit_code : as of the command. device_bytes : most GPU memory reserved for it, None without a GPU."""

    id: str | None
    exit_code: int
    seconds: float
    device_bytes: int | None = None


FIRST_MESSAGE: TypeAdapter[Greeting | Refusal] = TypeAdapter(Greeting | Refusal)
