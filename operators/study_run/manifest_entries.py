"""What a run tells about itself: the manifest of a good one and of a failed one."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from operators.dicom.results.output_file import OutputFile
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Finding, Measurement, StudyReadout
from operators.errors import CuriaError, NoMatchingSeriesError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import Journal
from operators.study_run.manifest import (
    CodeRecord,
    FindingRecord,
    HeadRecord,
    LocalisationRecord,
    MeasurementRecord,
    ModelRecord,
    OutputRecord,
    Reason,
    ResultManifest,
    SeriesRecord,
    StageRecord,
    Status,
    WarningRecord,
)


def completed_manifest(
    journal: Journal,
    deployment: Deployment,
    *,
    sources: Sequence[SourceSeries],
    study_readout: StudyReadout,
    outputs: Sequence[OutputFile],
) -> ResultManifest:
    """The manifest of a study that every head was asked about."""
    for finding in study_readout.findings:
        if finding.not_evaluated:
            journal.warn("head-out-of-scope", f"{finding.name}: not evaluated, {finding.not_evaluated}")
    journal.close()
    # A number without a SEG would point nowhere.
    has_segments = any(output.kind == "SEG" for output in outputs)
    frames = {source.volume.geometry.frame_of_reference_uid for source in sources} - {""}
    return ResultManifest(
        status="completed",
        frame_of_reference_uids=tuple(sorted(frames)),
        findings=tuple(_finding(finding, has_segments) for finding in study_readout.findings),
        measurements=tuple(_measurement(measurement) for measurement in study_readout.measurements),
        outputs=tuple(_output(output) for output in outputs),
        **_common(journal, deployment),
    )


def failed_manifest(journal: Journal, deployment: Deployment | None, error: CuriaError) -> ResultManifest:
    """The manifest of a run that an error ended; what was seen until then is kept."""
    journal.close()
    status: Status = "not-applicable" if isinstance(error, NoMatchingSeriesError) else "failed"
    return ResultManifest(
        status=status, reason=Reason(code=error.code, message=str(error)), **_common(journal, deployment)
    )


def _common(journal: Journal, deployment: Deployment | None) -> dict[str, Any]:
    return {
        "study_instance_uid": journal.study_instance_uid,
        "series": tuple(_series(decision) for decision in journal.decisions),
        "model": _model(deployment) if deployment else None,
        "settings": dict(deployment.settings) if deployment else {},
        "stages": tuple(StageRecord(**asdict(stage)) for stage in journal.stages),
        "warnings": tuple(WarningRecord(**asdict(warning)) for warning in journal.warnings),
    }


def _series(decision: SeriesDecision) -> SeriesRecord:
    return SeriesRecord(
        series_instance_uid=decision.series.series_instance_uid,
        modality=decision.series.modality,
        num_instances=len(decision.series.instances),
        decision="selected" if decision.selected else "rejected",
        role=decision.role,
        score=decision.score,
        reasons=decision.reasons,
    )


def _model(deployment: Deployment) -> ModelRecord:
    model = deployment.model
    return ModelRecord(
        name=model.name,
        version=model.version,
        encoder_sha256=model.snapshot.sha256,
        demonstration=model.demonstration,
        heads=tuple(
            HeadRecord(name=head.algorithm.name, sha256=head.algorithm.sha256, task=head.record.task)
            for head in model.heads.all
        ),
    )


def _finding(finding: Finding, has_segments: bool) -> FindingRecord:
    place = finding.localisation
    if place and not has_segments:
        place = replace(place, segment_number=None)
    return FindingRecord(
        name=finding.name,
        code=CodeRecord(**asdict(finding.code)),
        site=CodeRecord(**asdict(finding.site)) if finding.site else None,
        head=finding.head,
        probability=finding.probability,
        threshold=finding.threshold,
        present=finding.present,
        localisation=LocalisationRecord(**asdict(place)) if place else None,
    )


def _measurement(measurement: Measurement) -> MeasurementRecord:
    fields = asdict(measurement)
    return MeasurementRecord(**fields | {key: CodeRecord(**fields[key]) for key in ("code", "unit")})


def _output(output: OutputFile) -> OutputRecord:
    return OutputRecord(**asdict(output) | {"path": output.path.name})
