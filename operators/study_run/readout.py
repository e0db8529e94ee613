"""The heads' answers for all series of a study, put together."""

from collections.abc import Sequence
from functools import partial

from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Evidence, SeriesSegments, StudyReadout
from operators.heads.measurements import measure
from operators.heads.readout import FindingsReadout
from operators.heads.segments import localise, predict_segments
from operators.study_run.deployment import Deployment


def read_out_study(
    sources: Sequence[SourceSeries],
    readouts: Sequence[FindingsReadout],
    *,
    deployment: Deployment,
) -> StudyReadout:
    """Segments on each source's grid, findings with their place, and what the segments measure."""
    identity = deployment.identity(sources)
    segments = tuple(
        _segments(source, readout, deployment=deployment, identity=identity)
        for source, readout in zip(sources, readouts, strict=True)
    )
    findings = (
        finding
        for source, readout, series in zip(sources, readouts, segments, strict=True)
        for finding in localise(readout.findings, series, source.nearest_instance_uids)
    )
    of_series = (measurement for readout in readouts for measurement in readout.measurements)
    of_segments = (measurement for series in segments for measurement in measure(series))
    evidence = (
        Evidence(finding, readout.evidence[finding.name])
        for readout in readouts
        for finding in readout.findings
        if finding.name in readout.evidence
    )
    return StudyReadout(tuple(findings), segments, (*of_series, *of_segments), tuple(evidence))


def _segments(
    source: SourceSeries,
    readout: FindingsReadout,
    *,
    deployment: Deployment,
    identity: RunIdentity,
) -> SeriesSegments:
    if not source.takes_segments:
        # The source's remarks, which become warnings, say why.
        return SeriesSegments(source.series_instance_uid, source.volume.geometry, ())
    return predict_segments(
        readout,
        source=source.volume.geometry,
        series_instance_uid=source.series_instance_uid,
        tracking_uid=partial(identity.tracking_uid, source.series_instance_uid),
        with_probabilities=deployment.results.segmentation_type == "FRACTIONAL",
    )
