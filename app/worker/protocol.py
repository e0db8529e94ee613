"""What a worker says and is told, one JSON object a line; fields that are not named here are ignored.

On standard output it greets or refuses once, then answers every request read from standard input with one reply. The
end of standard input ends it. ``orthanc_plugin.pipeline.protocol`` is the other end; a contract test holds the two
together.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunningModel(_Message):
    name: str
    version: str
    demonstration: bool


class Greeting(_Message):
    """The worker is up. pipeline_digest : of model, settings and code together."""

    ready: Literal[True] = True
    pipeline_digest: str
    model: RunningModel


class Refusal(_Message):
    """The worker does not come up, and why; it ends with the command's exit code for that."""

    ready: Literal[False] = False
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
    """The answer to a request.

    id : of the request, None where it was not understood
    exit_code : as of the command; the output folder's result.json tells the rest
    device_bytes : most GPU memory reserved for it, None without a GPU
    """

    id: str | None
    exit_code: int
    seconds: float
    device_bytes: int | None = None
