"""The heads' answers for all series of a study, put together."""

from collections.abc import Sequence

from operators.deployment import Deployment
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.features import FeatureVolume
from operators.domain.finding import SeriesSegments, StudyReadout
from operators.heads.readout import FindingsReadout
from operators.heads.segments import localise, measure, predict_segments


def read_out_study(
    sources: Sequence[SourceSeries],
    features: Sequence[FeatureVolume],
    readouts: Sequence[FindingsReadout],
    *,
    deployment: Deployment,
    with_probabilities: bool = False,
) -> StudyReadout:
    """Segments on each source's grid, findings with their place, and what the segments measure.

    with_probabilities : the segments carry each voxel's probability, as a FRACTIONAL segmentation needs it
    """
    identity = deployment.identity(sources)
    segments = tuple(
        _segments(
            source,
            feature_volume,
            readout,
            deployment=deployment,
            identity=identity,
            with_probabilities=with_probabilities,
        )
        for source, feature_volume, readout in zip(sources, features, readouts, strict=True)
    )
    findings = (
        finding
        for source, readout, series in zip(sources, readouts, segments, strict=True)
        for finding in localise(readout.findings, series, source.sop_instance_uids)
    )
    measurements = (measurement for series in segments for measurement in measure(series))
    return StudyReadout(tuple(findings), segments, tuple(measurements))


def _segments(
    source: SourceSeries,
    features: FeatureVolume,
    readout: FindingsReadout,
    *,
    deployment: Deployment,
    identity: RunIdentity,
    with_probabilities: bool,
) -> SeriesSegments:
    if not source.takes_segments:
        # The source's remarks, which become warnings, say why.
        return SeriesSegments(source.series_instance_uid, source.volume.geometry, ())
    return predict_segments(
        features,
        readout,
        deployment.model.heads,
        source=source.volume.geometry,
        modality=source.modality,
        series_instance_uid=source.series_instance_uid,
        tracking_uid=lambda label: identity.uid(f"tracking:{source.series_instance_uid}:{label}"),
        with_probabilities=with_probabilities,
    )
