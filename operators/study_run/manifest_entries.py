"""What a run tells about itself: the manifest of a good one and of a failed one."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from operators.dicom.results.output_file import OutputFile
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Finding
from operators.domain.reading import StudyReading
from operators.errors import CuriaError, NoMatchingSeriesError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.manifest import (
    FindingEntry,
    HeadEntry,
    ModelEntry,
    OutputEntry,
    Reason,
    RegistrationEntry,
    ResultManifest,
    SeriesEntry,
    Status,
)
from operators.study_run.result_writer import WrittenRegistration

NO_HEADS = (
    "the model is an encoder without heads: it cannot say which part of the body a series shows, where organs lie, "
    "which findings are there, or how large or how likely anything is. Features, registration to a prior and "
    "similarity prompts need none. Put heads into the model folder: published ones, or your own, fitted to this "
    "encoder (docs/heads.md)"
)


def completed_manifest(
    journal: RunJournal,
    deployment: Deployment,
    *,
    reading: StudyReading[SourceSeries],
    registrations: Sequence[WrittenRegistration],
    outputs: Sequence[OutputFile],
) -> ResultManifest:
    """The manifest of a study with results: partial, where a role's series could not be read."""
    if not deployment.model.heads.all:
        journal.warn("no-heads", NO_HEADS)
    for finding in reading.findings:
        # A probability without an operating point is an answer; its entry says what it lacks.
        if finding.present is None and finding.probability is None:
            journal.warn("head-out-of-scope", f"{finding.name}: {finding.unjudged}")
    journal.close()
    # A number without a SEG would point nowhere.
    carried = {written.file.sop_instance_uid for one in registrations for written in one.objects}
    has_segments = any(output.kind == "SEG" and output.sop_instance_uid not in carried for output in outputs)
    frames = {source.volume.geometry.frame_of_reference_uid for source in reading.sources} - {""}
    shortfall = journal.shortfall
    return ResultManifest(
        status="partial" if shortfall else "completed",
        reason=Reason(code=shortfall.code, message=str(shortfall)) if shortfall else None,
        frame_of_reference_uids=tuple(sorted(frames)),
        findings=tuple(_finding(finding, has_segments) for finding in reading.findings),
        measurements=reading.measurements,
        follow_up=reading.follow_ups,
        registration=tuple(_registration(one) for one in registrations),
        outputs=tuple(_output(output) for output in outputs),
        **_common(journal, deployment),
    )


def revised_manifest(journal: RunJournal, deployment: Deployment, report: OutputFile) -> ResultManifest:
    """The manifest of a report's later version, which nothing was computed for."""
    journal.close()
    return ResultManifest(status="completed", outputs=(_output(report),), **_common(journal, deployment))


def failed_manifest(journal: RunJournal, deployment: Deployment | None, error: CuriaError) -> ResultManifest:
    """The manifest of a run that an error ended; what was seen until then is kept."""
    journal.close()
    status: Status = "not-applicable" if isinstance(error, NoMatchingSeriesError) else "failed"
    return ResultManifest(
        status=status, reason=Reason(code=error.code, message=str(error)), **_common(journal, deployment)
    )


def _common(journal: RunJournal, deployment: Deployment | None) -> dict[str, Any]:
    return {
        "study_instance_uid": journal.study_instance_uid,
        "series": tuple(_series(decision) for decision in journal.decisions),
        "model": _model(deployment) if deployment else None,
        "settings": dict(deployment.settings) if deployment else {},
        "stages": tuple(journal.stages),
        "warnings": tuple(journal.warnings),
    }


def _series(decision: SeriesDecision) -> SeriesEntry:
    return SeriesEntry(
        series_instance_uid=decision.series.series_instance_uid,
        modality=decision.series.modality,
        num_instances=len(decision.series.instances),
        decision="selected" if decision.selected else "rejected",
        role=decision.role,
        score=decision.score,
        reasons=decision.reasons,
    )


def _model(deployment: Deployment) -> ModelEntry:
    model = deployment.model
    return ModelEntry(
        name=model.name,
        version=model.version,
        encoder_sha256=model.snapshot.sha256,
        demonstration=model.demonstration,
        heads=tuple(
            HeadEntry(name=head.algorithm.name, sha256=head.algorithm.sha256, task=head.record.task)
            for head in model.heads.all
        ),
    )


def _finding(finding: Finding, has_segments: bool) -> FindingEntry:
    place = finding.localisation
    if place and not has_segments:
        place = replace(place, segment_number=None)
    return FindingEntry(
        name=finding.name,
        code=finding.code,
        site=finding.site,
        head=finding.head,
        probability=finding.probability,
        threshold=finding.threshold,
        present=finding.present,
        reason=finding.not_evaluated,
        localisation=place,
    )


def _registration(written: WrittenRegistration) -> RegistrationEntry:
    one = written.registration
    return RegistrationEntry(
        fixed_series_instance_uid=one.fixed.source.series_instance_uid,
        moving_series_instance_uid=one.moving.source.series_instance_uid,
        transform=one.found.kind,
        verdict=one.found.verdict,
        quality=asdict(one.found.quality),
        outputs=tuple(written_object.file.sop_instance_uid for written_object in written.objects),
    )


def _output(output: OutputFile) -> OutputEntry:
    return OutputEntry(**asdict(output) | {"path": output.path.name})
