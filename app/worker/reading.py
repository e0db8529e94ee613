"""The verbs ``read``, ``mark`` and ``revise``: what writes results of a study."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.revision import write_revision
from app.run import run_study
from app.worker.points import prompt_points
from app.worker.protocol import MarkRequest, ReadRequest, Reply, ReviseRequest
from operators.domain.concepts import IMAGE_REGION, SPATIAL_CONCEPT, Code
from operators.domain.judgement import Judgement
from operators.domain.prompt import MarkedRegion
from operators.domain.vocabulary import term_of
from operators.errors import CuriaError
from operators.study_run.journal import RunJournal

INTERNAL_ERROR = 1
"""Exit code in a reply for a defect of ours: no result.json was written."""


def read_study(pipeline: Pipeline, request: ReadRequest) -> Reply:
    """Read a study; the output folder's result.json tells more than the reply."""
    study = StudyRequest(request.input, request.output, request.prior, kept_features=request.features)
    return Reply(id=request.id, exit_code=_exit_code(partial(run_study, pipeline, study, RunJournal())), seconds=0.0)


def mark_region(pipeline: Pipeline, request: MarkRequest) -> Reply:
    """Write a marked region; a name that the vocabulary has is written with its code."""
    said = request.region
    term = term_of(said.name)
    category, code = (term.category, term.code) if term else (SPATIAL_CONCEPT, IMAGE_REGION)
    marked = MarkedRegion(prompt_points(said.points), said.threshold, said.name, category, code, said.person)
    study = StudyRequest(request.input, request.output, kept_features=request.features, marked=marked)
    return Reply(id=request.id, exit_code=_exit_code(partial(run_study, pipeline, study, RunJournal())), seconds=0.0)


def revise_report(pipeline: Pipeline, request: ReviseRequest) -> Reply:
    """Likewise."""
    judgements = [
        Judgement(
            said.finding,
            Code(said.code.value, said.code.scheme, said.code.meaning),
            said.tracking_uid,
            said.verdict,
            said.comment,
            said.person,
            datetime.fromtimestamp(int(said.at)),
        )
        for said in request.judgements
    ]
    revise = partial(write_revision, request.report, judgements, request.output, pipeline.deployment)
    return Reply(id=request.id, exit_code=_exit_code(revise), seconds=0.0)


def _exit_code(write: Callable[[], None]) -> int:
    try:
        write()
    except CuriaError as error:
        _release_frames(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a defect met in one study must not take the next one with it
        structlog.get_logger().error("internal-error", kind=type(error).__name__)
        _release_frames(error)
        return INTERNAL_ERROR
    return 0


def _release_frames(error: BaseException) -> None:
    """Let go of what the functions that *error* went through held, the application and its volumes among it.

    Holoscan keeps the exception that ended a run inside the application, where Python's collector does not see it. The
    exception's traceback holds the application in turn, so that neither would ever go.
    """
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None:
            link.__traceback__ = None
            links += [link.__cause__, link.__context__]
