"""The loop: load the model once, then answer requests until standard input ends."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, TextIO

import torch
import typer
from pydantic import BaseModel, ValidationError

from app.logs import configure_logs
from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from app.worker.prompting import cut_region, map_similarity
from app.worker.protocol import (
    REQUEST,
    Greeting,
    MarkRequest,
    ReadRequest,
    Refusal,
    RegionRequest,
    Reply,
    Request,
    ReviseRequest,
    RunningModel,
    SimilarityRequest,
    Term,
)
from app.worker.reading import mark_region, read_study, revise_report
from operators.domain.vocabulary import VOCABULARY
from operators.errors import CuriaError

NOT_UNDERSTOOD = 2
"""Exit code in a reply to what is no request."""


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
        _send(replies, Refusal(code=error.code, message=str(error)))
        raise typer.Exit(error.exit_code) from error
    _send(replies, _greeting(pipeline))
    for line in sys.stdin:
        _send(replies, _answer(pipeline, line))


def _claim_stdout() -> TextIO:
    """The real stdout for replies alone; whatever a library prints goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _send(replies: TextIO, message: BaseModel) -> None:
    replies.write(message.model_dump_json() + "\n")
    replies.flush()


def _greeting(pipeline: Pipeline) -> Greeting:
    model = pipeline.deployment.model
    return Greeting(
        pipeline_digest=pipeline.deployment.digest,
        model=RunningModel(name=model.name, version=model.version, demonstration=model.demonstration),
        vocabulary=tuple(
            Term(value=term.code.value, scheme=term.code.scheme, meaning=term.code.meaning, names=term.names)
            for term in VOCABULARY
        ),
    )


def _answer(pipeline: Pipeline, line: str) -> Reply:
    start = time.perf_counter()
    try:
        request = REQUEST.validate_json(line)
    except ValidationError:
        return Reply(id=None, exit_code=NOT_UNDERSTOOD, seconds=0.0)
    answer = _do(pipeline, request)
    seconds = round(time.perf_counter() - start, 3)
    return answer.model_copy(update={"seconds": seconds, "device_bytes": _peak_device_bytes()})


def _do(pipeline: Pipeline, request: Request) -> Reply:
    match request:
        case ReadRequest():
            return read_study(pipeline, request)
        case SimilarityRequest():
            return map_similarity(request)
        case RegionRequest():
            return cut_region(request)
        case MarkRequest():
            return mark_region(pipeline, request)
        case ReviseRequest():
            return revise_report(pipeline, request)


def _peak_device_bytes() -> int | None:
    """Most GPU memory that PyTorch reserved since it was last asked; None without a GPU."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    peak = torch.cuda.max_memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    return peak


if __name__ == "__main__":
    typer.run(main)
