"""Features in, ``features.safetensors`` out."""

from pathlib import Path
from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.encoder.feature_file import write_features
from operators.framework import Step
from operators.study_run.journal import RunJournal


class FeaturesWriterOperator(Step):
    """Write the encoder's output for people who do their own analysis, and pass the reading on."""

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "features"

    def __init__(self, fragment: Any, *, folder: Path, with_tokens: bool, journal: RunJournal) -> None:
        self._folder = folder
        self._with_tokens = with_tokens
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        by_series = {series.source.series_instance_uid: series.encoded for series in reading.current}
        write_features(by_series, self._folder, with_tokens=self._with_tokens)
        return reading
