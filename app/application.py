"""The Holoscan graph: one operator for each step, and who hands what to whom."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from app.pipeline import Pipeline
from operators.companion_writer_operator import CompanionWriterOperator
from operators.encoder_input_operator import EncoderInputOperator
from operators.encoder_operator import EncoderOperator
from operators.features_writer_operator import FeaturesWriterOperator
from operators.findings_operator import FindingsOperator
from operators.framework import Application, CountCondition, silence_framework
from operators.report_writer_operator import ReportWriterOperator
from operators.result_manifest_operator import ResultManifestOperator
from operators.segmentation_operator import SegmentationOperator
from operators.segmentation_writer_operator import SegmentationWriterOperator
from operators.series_selection_operator import SeriesSelectionOperator
from operators.study_index_operator import StudyIndexOperator
from operators.study_run.journal import Journal
from operators.study_run.result_writer import ResultWriter
from operators.volume_reader_operator import VolumeReaderOperator


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One study to read and where its results go; ``features`` asks for the encoder's output as well."""

    input: Path
    output: Path
    prior: Path | None = None
    features: Literal["cls", "tokens"] | None = None


class CuriaApplication(Application):
    """The whole chain for one study.

    drafts : folder for objects until the run is known to be good
    scratch : empty folder for what is unpacked and for tokens beyond the memory, there until the run ends
    """

    def __init__(
        self, pipeline: Pipeline, request: StudyRequest, *, drafts: Path, scratch: Path, journal: Journal, now: datetime
    ) -> None:
        self._pipeline = pipeline
        self._request = request
        self._drafts = drafts
        self._scratch = scratch
        self._journal = journal
        self._now = now
        silence_framework()
        # An explicit argument list keeps the SDK from parsing the host program's.
        super().__init__(["curia-app"])

    def compose(self) -> None:
        journal, deployment = self._journal, self._pipeline.deployment
        writer = ResultWriter(self._drafts, self._now, deployment, journal)
        study = StudyIndexOperator(
            self,
            CountCondition(self, 1),
            name="study_index",
            folder=self._request.input,
            scratch=self._scratch,
            limits=self._pipeline.limits,
            journal=journal,
        )
        selection = SeriesSelectionOperator(
            self,
            name="series_selection",
            rules=self._pipeline.selection_rules,
            region_probe=self._pipeline.region_probe,
            limits=self._pipeline.limits,
            journal=journal,
        )
        reader = VolumeReaderOperator(self, name="volume_reader", limits=self._pipeline.limits, journal=journal)
        encoder_input = EncoderInputOperator(
            self,
            name="encoder_input",
            settings=self._pipeline.encoder_input,
            array_module=self._pipeline.array_module,
            journal=journal,
        )
        encoder = EncoderOperator(
            self,
            name="encoder",
            encoder=self._pipeline.encoder,
            cache=self._pipeline.feature_cache,
            blocks=deployment.model.heads.needs.blocks,
            scratch=self._scratch,
            journal=journal,
        )
        findings = FindingsOperator(
            self,
            name="findings",
            deployment=deployment,
            device=self._pipeline.encoder.devices[0],
            journal=journal,
        )
        segmentation = SegmentationOperator(self, name="segmentation", deployment=deployment, journal=journal)
        seg_writer = SegmentationWriterOperator(self, name="segmentation_writer", writer=writer, journal=journal)
        report_writer = ReportWriterOperator(self, name="report_writer", writer=writer, journal=journal)
        companions = CompanionWriterOperator(self, name="companion_writer", writer=writer, journal=journal)
        manifest = ResultManifestOperator(
            self,
            name="result_manifest",
            drafts=self._drafts,
            output=self._request.output,
            deployment=deployment,
            journal=journal,
        )
        for taker in (selection, report_writer):
            self.add_flow(study, taker, {("study", "study")})
        self.add_flow(selection, reader, {("selection", "selection")})
        self.add_flow(reader, encoder_input, {("sources", "sources")})
        self.add_flow(encoder_input, encoder, {("inputs", "inputs")})
        features = self._features_writer(reader, encoder) if self._request.features else encoder
        for taker in (findings, segmentation, seg_writer, report_writer, companions, manifest):
            self.add_flow(reader, taker, {("sources", "sources")})
        self.add_flow(features, findings, {("features", "features")})
        self.add_flow(findings, segmentation, {("readouts", "readouts")})
        for taker in (seg_writer, report_writer, companions, manifest):
            self.add_flow(segmentation, taker, {("study_readout", "study_readout")})
        for taker in (report_writer, companions):
            self.add_flow(seg_writer, taker, {("segmentations", "segmentations")})
        self.add_flow(report_writer, companions, {("reports", "reports")})
        self.add_flow(companions, manifest, {("outputs", "outputs")})

    def _features_writer(self, reader: VolumeReaderOperator, encoder: EncoderOperator) -> FeaturesWriterOperator:
        writer = FeaturesWriterOperator(
            self,
            name="features_writer",
            folder=self._drafts,
            with_tokens=self._request.features == "tokens",
            journal=self._journal,
        )
        self.add_flow(reader, writer, {("sources", "sources")})
        self.add_flow(encoder, writer, {("features", "encoded")})
        return writer
