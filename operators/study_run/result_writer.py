"""A study's reading to DICOM files: segmentations first, then the report on them, then what goes with both."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydicom import Dataset

from operators.dicom.results.for_people.encapsulated_pdf import build_encapsulated_pdf
from operators.dicom.results.for_people.html_preview import FILE_NAME as PREVIEW
from operators.dicom.results.for_people.html_preview import render_html
from operators.dicom.results.for_people.key_images import KeyImage, key_images
from operators.dicom.results.for_people.key_objects import build_key_objects
from operators.dicom.results.for_people.page import build_report_page
from operators.dicom.results.for_people.pdf import render_pdf
from operators.dicom.results.for_people.secondary_capture import build_secondary_captures
from operators.dicom.results.maps.parametric_map import build_parametric_map
from operators.dicom.results.output_file import OutputFile, write_dataset
from operators.dicom.results.registration.carried_segments import HEAD
from operators.dicom.results.registration.deformable import build_deformable_registration
from operators.dicom.results.registration.spatial import build_spatial_registration
from operators.dicom.results.report.earlier_reports import earlier_reports
from operators.dicom.results.report.findings_report import build_report, kind_of
from operators.dicom.results.report.segment_report import build_segment_report
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.segmentation.object import build_segmentation
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.prompt import PROMPTING, MarkedRegion
from operators.domain.reading import SeriesRegistration, StudyReading
from operators.domain.segment import SeriesSegments
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal


@dataclass(frozen=True, slots=True, eq=False)
class WrittenObject:
    """An object in memory and the file that holds it."""

    dataset: Dataset
    file: OutputFile


@dataclass(frozen=True, slots=True, eq=False)
class WrittenRegistration:
    """A registration and what came of it: its transforms and the prior's segments; nothing where it failed."""

    registration: SeriesRegistration[SourceSeries]
    objects: tuple[WrittenObject, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResultWriter:
    """Writes the objects of one run, as far as the deployment's settings ask for them.

    now : the run's date and time; nothing but dates depends on it
    marked : the region that somebody marked, when the results are of that alone
    """

    folder: Path
    now: datetime
    deployment: Deployment
    journal: RunJournal
    marked: MarkedRegion | None = None

    def write_segmentations(self, reading: StudyReading[SourceSeries]) -> tuple[WrittenObject, ...]:
        """One SEG for each series with a segment; an empty series writes none and is absent in the report."""
        if not self.deployment.results.writes("SEG"):
            return ()
        run = self._run(reading)
        return tuple(
            self._write(self._segmentation(series.source, series.slice_segments, run), series.source)
            for series in reading.current
            if series.slice_segments is not None and series.slice_segments.segments
        )

    def _segmentation(self, source: SourceSeries, segments: SeriesSegments, run: RunContext) -> Dataset:
        return build_segmentation(
            source,
            segments,
            run=run,
            segmentation_type=self.deployment.results.segmentation_type,
            warn=lambda message: self.journal.warn("segments-overlap", message),
        )

    def write_registrations(self, reading: StudyReading[SourceSeries]) -> tuple[WrittenRegistration, ...]:
        """Of each registration that did not fail the prior's segments, the matrix, and a deformable one's field."""
        run = self._run(reading)

        def written(one: SeriesRegistration[SourceSeries]) -> Iterator[WrittenObject]:
            for dataset in (*self._carried(one, run), *self._transforms(one, run)):
                yield self._write(dataset, one.fixed.source)

        return tuple(WrittenRegistration(one, tuple(written(one))) for one in reading.registrations)

    def _carried(self, one: SeriesRegistration[SourceSeries], run: RunContext) -> Iterator[Dataset]:
        """The prior's segments as one BINARY SEG: what they might be elsewhere nobody measured as probabilities."""
        if one.slice_carried is not None and one.slice_carried.segments and self.deployment.results.writes("SEG"):
            yield build_segmentation(
                one.fixed.source,
                one.slice_carried,
                run=replace(run, heads={**run.heads, HEAD: self.deployment.algorithm_of(HEAD)}),
                carried_from=one.moving.outlines or one.moving.source.headers,
            )

    def _transforms(self, one: SeriesRegistration[SourceSeries], run: RunContext) -> Iterator[Dataset]:
        fixed, moving, found, settings = one.fixed.source, one.moving.source, one.found, self.deployment.results
        if found.verdict == "failed":
            return
        if settings.writes("REG"):
            yield build_spatial_registration(fixed, moving, found.affine, run=run)
        if settings.writes("DREG") and found.field is not None:
            yield build_deformable_registration(fixed, moving, found.field, run=run)

    def write_reports(
        self,
        reading: StudyReading[SourceSeries],
        segmentations: Sequence[WrittenObject],
        study_headers: Iterable[Dataset],
    ) -> tuple[WrittenObject, ...]:
        """The SR, and after it the one that refers to segments where it is asked for.

        A model without heads says nothing, and an SR needs something to say (TID 1500, row 6): then there is none.

        study_headers : of all files of the study, among which earlier reports may be
        """
        if not (self.deployment.results.writes("SR") and reading.says_something):
            return ()
        run, masks = self._run(reading), [written.dataset for written in segmentations]
        whole = self.journal.shortfall is None
        previous = () if run.is_marked else earlier_reports(study_headers, kind_of(reading), run)
        reports = [build_report(reading, segmentations=masks, run=run, is_complete=whole, previous=previous)]
        if self.deployment.results.segment_report and segmentations:
            reports.append(build_segment_report(reading, segmentations=masks, run=run, is_complete=whole))
        return tuple(self._write(report, reading.sources[0]) for report in reports)

    def write_companions(
        self, reading: StudyReading[SourceSeries], results: Sequence[WrittenObject]
    ) -> tuple[WrittenObject, ...]:
        """Key objects, captures, PDF and maps, in this order of importance, and the HTML preview beside them.

        results : the SR and SEG that these go with
        """
        images = key_images(reading)
        written = [result.dataset for result in results]
        companions = (
            *self._key_image_objects(reading, images, written),
            *self._report_for_people(reading, images, written),
            *self._maps(reading),
        )
        return tuple(self._write(dataset, reading.sources[0]) for dataset in companions)

    def _key_image_objects(
        self, reading: StudyReading[SourceSeries], images: Sequence[KeyImage], results: Sequence[Dataset]
    ) -> Iterator[Dataset]:
        if images and self.deployment.results.writes("KO"):
            yield build_key_objects(images, results, run=self._run(reading))
        if self.deployment.results.writes("SC"):
            yield from build_secondary_captures(images, run=self._run(reading))

    def _report_for_people(
        self,
        reading: StudyReading[SourceSeries],
        images: Sequence[KeyImage],
        results: Sequence[Dataset],
    ) -> Iterator[Dataset]:
        settings = self.deployment.results
        if not (settings.writes("PDF") or settings.html_preview) or not reading.says_something:
            return
        page = build_report_page(reading, images, self.deployment.provenance)
        if settings.html_preview:
            (self.folder / PREVIEW).write_text(render_html(page), encoding="utf-8")
        if settings.writes("PDF"):
            headers = [header for source in reading.sources for header in source.headers]
            yield build_encapsulated_pdf(render_pdf(page), headers, results, run=self._run(reading))

    def _maps(self, reading: StudyReading[SourceSeries]) -> Iterator[Dataset]:
        if not self.deployment.results.writes("PM"):
            return
        for series in reading.current:
            for number, evidence in enumerate(series.evidence, start=1):
                yield build_parametric_map(series.source, evidence, number, run=self._run(reading))

    def _run(self, reading: StudyReading[SourceSeries]) -> RunContext:
        deployment, marked = self.deployment, self.marked
        algorithms = deployment.algorithms | {PROMPTING: deployment.algorithm_of(PROMPTING)}
        return RunContext(
            deployment.identity(reading.sources, marked=marked),
            deployment.provenance,
            algorithms,
            self.now,
            is_marked=marked is not None,
            person=marked.person if marked else "",
        )

    def _write(self, dataset: Dataset, source: SourceSeries) -> WrittenObject:
        return WrittenObject(dataset, write_dataset(dataset, self.folder, source=source.headers[0]))
