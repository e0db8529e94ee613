"""What the heads say about each series of a study."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from pydicom import Dataset

from operators.dicom.study.header_values import text_of
from operators.dicom.study.value_meaning import value_meaning
from operators.dicom.volumes.slice_masks import on_slices
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Evidence, TokenContributions
from operators.domain.reading import SeriesReading, StudyReading
from operators.heads.head import Heads, SeriesFeatures
from operators.heads.masks import ContributionMasks
from operators.heads.measurements import measure
from operators.heads.readout import predict_findings
from operators.heads.segments import localise, predict_segments
from operators.study_run.deployment import Deployment


def read_findings(reading: StudyReading[SourceSeries], heads: Heads, *, device: str) -> StudyReading[SourceSeries]:
    """The reading with the answers of every head about every series; what it shows is drawn by `read_segments`."""

    def of_series(series: SeriesReading[SourceSeries]) -> SeriesReading[SourceSeries]:
        source = series.source
        readout = predict_findings(
            SeriesFeatures(
                series.encoded,
                source.volume.geometry,
                source.modality,
                source.series_instance_uid,
                device,
                values=value_meaning(source.headers[0]),
                contrast=contrast_of(source.headers),
                encoder_input=series.prepared if heads.needs.image else None,
            ),
            heads,
        )
        evidence = tuple(
            Evidence(finding, readout.evidence[finding.name])
            for finding in readout.findings
            if finding.name in readout.evidence
        )
        by_name = {finding.name: finding for finding in readout.findings}
        contributions = tuple(
            TokenContributions(by_name[masks.finding], masks.contributions)
            for masks in readout.masks
            if isinstance(masks, ContributionMasks)
        )
        return replace(
            series,
            findings=readout.findings,
            measurements=readout.measurements,
            evidence=evidence,
            contributions=contributions,
            points=readout.points,
            draw=partial(
                predict_segments,
                readout.masks,
                source=source.volume.geometry,
                series_instance_uid=source.series_instance_uid,
            ),
            regions=readout.regions,
        )

    return reading.with_each(of_series)


def contrast_of(headers: Sequence[Dataset]) -> Literal["with", "without"] | None:
    """Whether a series was taken with a contrast agent (PS3.3 C.7.6.4); None where no header says a word about it."""
    given = [text_of(header, "ContrastBolusAgent") for header in headers if "ContrastBolusAgent" in header]
    if not given:
        return None
    return "with" if any(given) else "without"


def read_segments(reading: StudyReading[SourceSeries], deployment: Deployment) -> StudyReading[SourceSeries]:
    """The reading with segments on each volume and its slices, the findings' places, and what the segments measure."""
    identity = deployment.identity(reading.sources)

    def of_series(series: SeriesReading[SourceSeries]) -> SeriesReading[SourceSeries]:
        tracking_uid = partial(identity.tracking_uid, series.source.series_instance_uid)
        segments = series.drawing(
            tracking_uid=tracking_uid, with_probabilities=deployment.results.segmentation_type == "FRACTIONAL"
        )
        return replace(
            series,
            segments=segments,
            slice_segments=on_slices(segments, series.source),
            findings=localise(
                series.findings,
                segments,
                series.source.nearest_instance_uids,
                points=series.points,
                tracking_uid=tracking_uid,
            ),
            measurements=(*series.measurements, *measure(segments)),
        )

    return reading.with_each(of_series)
