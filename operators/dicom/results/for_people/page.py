"""What a person reads of a study's results, before it becomes HTML or PDF. It names no patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from operators.dicom.results.follow_up_table import FollowUpTable, follow_up_table
from operators.dicom.results.for_people.key_images import KeyImage
from operators.dicom.results.for_people.picture import draw_key_image
from operators.dicom.results.provenance import Provenance
from operators.dicom.study.header_values import number_of
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Finding
from operators.domain.measurement import Measurement
from operators.domain.reading import StudyReading

FINDING_COLUMNS = ("Looked for", "Answer", "Probability", "Threshold", "Site", "Series", "Head")
MEASUREMENT_COLUMNS = ("Measured", "Value", "Series")


@dataclass(frozen=True, slots=True, eq=False)
class ReportPage:
    """Tables and pictures, ready to be set.

    findings, measurements : rows under `FINDING_COLUMNS` and `MEASUREMENT_COLUMNS`
    follow_ups : name of the series and its table
    pictures : caption and PNG
    """

    title: str
    use_statement: str
    producer: str
    findings: tuple[tuple[str, ...], ...]
    measurements: tuple[tuple[str, ...], ...]
    follow_ups: tuple[tuple[str, FollowUpTable], ...]
    pictures: tuple[tuple[str, bytes], ...]


def build_report_page(
    reading: StudyReading[SourceSeries],
    key_images: Sequence[KeyImage],
    provenance: Provenance,
) -> ReportPage:
    """Every finding, also the absent ones and those that nobody judged, with the reason."""
    series = {source.series_instance_uid: _series_name(source) for source in reading.sources}
    return ReportPage(
        title="AI findings, for research use only",
        use_statement=provenance.use_statement,
        producer=f"{provenance.manufacturer}, {provenance.model_name}, {provenance.software_versions}",
        findings=tuple(_finding_row(finding, series) for finding in reading.findings),
        measurements=tuple(_measurement_row(item, series) for item in reading.measurements),
        follow_ups=tuple(
            (series[followed.series_instance_uid], follow_up_table(followed)) for followed in reading.follow_ups
        ),
        pictures=tuple((_caption(image, series), _png(image)) for image in key_images),
    )


def _series_name(source: SourceSeries) -> str:
    # The number and not the description, whose free text may name anybody.
    series_number = number_of(source.headers[0], "SeriesNumber")
    return source.modality if series_number is None else f"{source.modality} {series_number:.0f}"


def _finding_row(finding: Finding, series: dict[str, str]) -> tuple[str, ...]:
    answers = {True: "present", False: "absent", None: finding.unjudged}
    return (
        finding.name,
        answers[finding.present],
        _number(finding.probability),
        _number(finding.threshold),
        finding.site.meaning if finding.site else "",
        series[finding.series_instance_uid],
        finding.head,
    )


def _measurement_row(measurement: Measurement, series: dict[str, str]) -> tuple[str, ...]:
    return (
        measurement.name,
        measurement.amount + (f" ({measurement.since_prior})" if measurement.since_prior else ""),
        series[measurement.series_instance_uid],
    )


def _caption(image: KeyImage, series: dict[str, str]) -> str:
    return f"{image.finding.name}, {series[image.finding.series_instance_uid]}, slice {image.slice_index + 1}"


def _png(image: KeyImage) -> bytes:
    buffer = BytesIO()
    draw_key_image(image).save(buffer, format="PNG")
    return buffer.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
