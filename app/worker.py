"""A warm process that reads study after study: ``python -m app.worker [-m MODEL] [--device D]``.

It speaks JSON, one object a line. On stdout first ``{"ready": true, "pipeline_digest": ..., "model": {...}}``, then for
each request ``{"id", "input", "output", "prior"}`` read from stdin one reply ``{"id", "exit_code", "seconds",
"device_bytes"}``; the output folder's ``result.json`` tells the rest. The end of stdin ends the process.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any, TextIO

import structlog
import torch
import typer
from pydantic import BaseModel, ValidationError

from app.application import StudyRequest
from app.logs import configure_logs
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from operators.errors import CuriaError
from operators.study_run.journal import Journal

INTERNAL_ERROR = 1
"""Exit code in a reply for a defect of ours: no result.json was written."""


class Request(BaseModel):
    id: str
    input: Path
    output: Path
    prior: Path | None = None


def main(
    model: Annotated[Path, typer.Option("-m", "--model", envvar="HOLOSCAN_MODEL_PATH")] = DEMO_MODEL,
    device: Annotated[str | None, typer.Option()] = None,
    config: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Load the model once, then answer requests until stdin ends."""
    replies = _claim_stdout()
    try:
        settings = Settings.read(config, device=device)
        configure_logs(settings.log_level, as_json=True)
        pipeline = Pipeline.load(model, settings)
    except CuriaError as error:
        _send(replies, {"ready": False, "code": error.code, "message": str(error)})
        raise typer.Exit(error.exit_code) from error
    _send(replies, _greeting(pipeline))
    for line in sys.stdin:
        _send(replies, _answer(pipeline, line))


def _claim_stdout() -> TextIO:
    """The real stdout for replies alone; whatever a library prints goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _send(replies: TextIO, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _greeting(pipeline: Pipeline) -> dict[str, Any]:
    model = pipeline.deployment.model
    return {
        "ready": True,
        "pipeline_digest": pipeline.deployment.digest,
        "model": {"name": model.name, "version": model.version, "demonstration": model.demonstration},
    }


def _answer(pipeline: Pipeline, line: str) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        request = Request.model_validate_json(line)
    except ValidationError:
        return {"id": None, "exit_code": 2, "seconds": 0.0, "device_bytes": None}
    exit_code = _exit_code(pipeline, request)
    seconds = round(time.perf_counter() - start, 3)
    return {"id": request.id, "exit_code": exit_code, "seconds": seconds, "device_bytes": _peak_device_bytes()}


def _peak_device_bytes() -> int | None:
    """Most GPU memory that PyTorch reserved since it was last asked; None without a GPU."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    peak = torch.cuda.max_memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    return peak


def _exit_code(pipeline: Pipeline, request: Request) -> int:
    study = StudyRequest(request.input, request.output, request.prior)
    try:
        run_study(pipeline, study, Journal())
    except CuriaError as error:
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a defect met in one study must not take the next one with it
        structlog.get_logger().error("internal-error", kind=type(error).__name__)
        return INTERNAL_ERROR
    return 0


if __name__ == "__main__":
    typer.run(main)
