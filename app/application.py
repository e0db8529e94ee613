"""The Holoscan graph: one operator for each step, in their order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from app.pipeline import Pipeline
from operators.companion_writer_operator import CompanionWriterOperator
from operators.domain.prompt import MarkedRegion
from operators.encoder_input_operator import EncoderInputOperator
from operators.encoder_operator import EncoderOperator
from operators.features_keeper_operator import FeaturesKeeperOperator
from operators.features_writer_operator import FeaturesWriterOperator
from operators.findings_operator import FindingsOperator
from operators.framework import Application, Step, connect, silence_framework
from operators.prior_reader_operator import PriorReaderOperator
from operators.region_marker_operator import RegionMarkerOperator
from operators.registration_operator import RegistrationOperator
from operators.registration_writer_operator import RegistrationWriterOperator
from operators.report_writer_operator import ReportWriterOperator
from operators.result_manifest_operator import ResultManifestOperator
from operators.segmentation_operator import SegmentationOperator
from operators.segmentation_writer_operator import SegmentationWriterOperator
from operators.series_selection_operator import SeriesSelectionOperator
from operators.study_index_operator import StudyIndexOperator
from operators.study_run.journal import RunJournal
from operators.study_run.prior_reader import PriorReader
from operators.study_run.result_writer import ResultWriter
from operators.volume_reader_operator import VolumeReaderOperator


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One study to read and where its results go.

    prior : earlier studies of the same patient, in any order
    features : asks for the encoder's output as well
    kept_features : an empty folder to keep the features in that similarity is asked of later; with *marked*, the
        folder where they are
    marked : a region that somebody marked; then the results are of this alone
    """

    input: Path
    output: Path
    prior: tuple[Path, ...] = ()
    features: Literal["cls", "tokens"] | None = None
    kept_features: Path | None = None
    marked: MarkedRegion | None = None


class CuriaApplication(Application):
    """The whole chain for one study.

    drafts : folder for objects until the run is known to be good
    scratch : empty folder for what is unpacked and for tokens beyond the memory, there until the run ends
    """

    def __init__(
        self,
        pipeline: Pipeline,
        request: StudyRequest,
        *,
        drafts: Path,
        scratch: Path,
        journal: RunJournal,
        now: datetime,
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
        connect(self, self._steps())

    def _steps(self) -> Iterator[Step]:
        """In their order; each is wired to those before it by the names of its ports."""
        pipeline, request, journal = self._pipeline, self._request, self._journal
        deployment, chain = pipeline.deployment, pipeline.chain
        writer = ResultWriter(self._drafts, self._now, deployment, journal, request.marked)
        yield StudyIndexOperator(self, request.input, chain=chain, scratch=self._scratch, journal=journal)
        yield SeriesSelectionOperator(self, chain=chain, journal=journal)
        yield VolumeReaderOperator(self, chain=chain, journal=journal)
        if request.marked and request.kept_features:
            features = request.kept_features
            yield RegionMarkerOperator(self, request.marked, features=features, deployment=deployment, journal=journal)
        else:
            yield from self._findings()
        yield SegmentationWriterOperator(self, writer=writer, journal=journal)
        yield RegistrationWriterOperator(self, writer=writer, journal=journal)
        yield ReportWriterOperator(self, writer=writer, journal=journal)
        yield CompanionWriterOperator(self, writer=writer, journal=journal)
        yield ResultManifestOperator(
            self, drafts=self._drafts, output=request.output, deployment=deployment, journal=journal
        )

    def _findings(self) -> Iterator[Step]:
        """From volumes to what the model sees in them and how they lie on a prior."""
        pipeline, request, journal = self._pipeline, self._request, self._journal
        deployment, chain = pipeline.deployment, pipeline.chain
        yield EncoderInputOperator(self, chain=chain, journal=journal)
        yield EncoderOperator(self, chain=chain, scratch=self._scratch, journal=journal)
        if request.features:
            with_tokens = request.features == "tokens"
            yield FeaturesWriterOperator(self, folder=self._drafts, with_tokens=with_tokens, journal=journal)
        if request.prior:
            reader = PriorReader(
                chain,
                deployment,
                self._scratch,
                journal,
                across_modalities=pipeline.priors_across_modalities,
            )
            yield PriorReaderOperator(self, request.prior, reader=reader, journal=journal)
        yield FindingsOperator(self, deployment=deployment, device=chain.encoder.devices[0], journal=journal)
        if request.kept_features:
            yield FeaturesKeeperOperator(self, folder=request.kept_features, journal=journal)
        yield SegmentationOperator(self, deployment=deployment, journal=journal)
        if request.prior:
            demonstration, device = deployment.model.demonstration, chain.encoder.devices[0]
            yield RegistrationOperator(
                self,
                settings=pipeline.registration,
                demonstration=demonstration,
                device=device,
                journal=journal,
            )
