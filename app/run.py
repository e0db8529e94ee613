"""One study through the graph: the result or the reason why there is none, always in ``result.json``."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from app.application import CuriaApplication, StudyRequest
from app.pipeline import Pipeline
from operators.errors import CuriaError, OutputError, ResourceError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.manifest import FILE_NAME
from operators.study_run.manifest_entries import failed_manifest
from operators.study_run.output_folder import clear_previous, write_result_manifest


def run_study(pipeline: Pipeline, request: StudyRequest, journal: RunJournal) -> None:
    """Run the graph; ``result.json`` lies in the output folder afterwards, and nothing else if it fails.

    Raises
    ------
    CuriaError
        As the stage that failed raised it, after the manifest of the failure was written.
    """
    with failure_recorded(request.output, journal, pipeline.deployment):
        # On the output's own file system, so that publishing is a rename.
        with (
            _temporary_folder(request.output, "drafts") as drafts,
            _temporary_folder(request.output, "scratch") as scratch,
        ):
            now = datetime.now()
            application = CuriaApplication(pipeline, request, drafts=drafts, scratch=scratch, journal=journal, now=now)
            application.run()
        # The scheduler returns without an error when it is told to stop, so only the manifest proves a result.
        if not (request.output / FILE_NAME).is_file():
            raise OutputError("the graph ended without a result, was it interrupted? run again")


@contextmanager
def _temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def failure_recorded(output: Path, journal: RunJournal, deployment: Deployment | None = None) -> Iterator[None]:
    """Start with a clean output folder; turn whatever ends the run early into its manifest and pass it on."""
    output.mkdir(parents=True, exist_ok=True)
    clear_previous(output)
    try:
        with _exhaustion_translated():
            yield
    except CuriaError as error:
        write_result_manifest(failed_manifest(journal, deployment, error), output)
        raise


@contextmanager
def _exhaustion_translated() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ResourceError("memory ran out; close other programs or use a larger machine") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResourceError("the disk of the output folder is full; free some space and run again") from error
