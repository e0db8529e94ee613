"""A study's readout to DICOM files: segmentations first, then the report that refers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import Dataset

from operators.deployment import Deployment
from operators.dicom.results.output_file import OutputFile, write_dataset
from operators.dicom.results.report import build_report
from operators.dicom.results.segmentation import build_segmentation
from operators.dicom.results.uids import RunIdentity
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import SeriesSegments, StudyReadout


@dataclass(frozen=True, slots=True, eq=False)
class WrittenObject:
    """An object in memory and the file that holds it."""

    dataset: Dataset
    file: OutputFile


@dataclass(frozen=True, slots=True, eq=False)
class ResultWriter:
    """Writes the objects of one run.

    now : the run's date and time; nothing but dates depends on it
    """

    folder: Path
    now: datetime
    deployment: Deployment

    def write_segmentations(
        self, sources: Sequence[SourceSeries], study_readout: StudyReadout
    ) -> tuple[WrittenObject, ...]:
        """One SEG for each series with a segment; an empty series writes none and is absent in the report."""
        pairs = zip(sources, study_readout.segments, strict=True)
        identity = self.deployment.identity(sources)
        return tuple(self._write_segmentation(*pair, identity=identity) for pair in pairs if pair[1].segments)

    def write_report(
        self,
        sources: Sequence[SourceSeries],
        study_readout: StudyReadout,
        segmentations: Sequence[WrittenObject],
    ) -> tuple[OutputFile, ...]:
        """The SR, and after it the segmentations it refers to: every file of the study in order of importance.

        A model without heads says nothing, and an SR needs something to say (TID 1500, row 6): then there is none.
        """
        if not study_readout.findings and not segmentations:
            return ()
        dataset = build_report(
            sources,
            findings=study_readout.findings,
            segments=study_readout.segments,
            measurements=study_readout.measurements,
            segmentations=[written.dataset for written in segmentations],
            identity=self.deployment.identity(sources),
            provenance=self.deployment.provenance,
            heads=self.deployment.algorithms,
            now=self.now,
            is_complete=True,
        )
        report = write_dataset(dataset, self.folder, source=sources[0].headers[0])
        return (report, *(written.file for written in segmentations))

    def _write_segmentation(
        self, source: SourceSeries, segments: SeriesSegments, *, identity: RunIdentity
    ) -> WrittenObject:
        dataset = build_segmentation(
            source,
            segments,
            identity=identity,
            provenance=self.deployment.provenance,
            heads=self.deployment.algorithms,
            now=self.now,
        )
        return WrittenObject(dataset, write_dataset(dataset, self.folder, source=source.headers[0]))
