"""The current study and its priors in, registrations and values over time out."""

from typing import Any

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import StudyReading
from operators.framework import Step
from operators.registration.alignment import AlignmentSettings
from operators.study_run.journal import RunJournal
from operators.study_run.prior_comparison import compare_with_priors
from operators.study_run.prior_registration import register_priors


class RegistrationOperator(Step):
    """Lay each prior on the current study and compare what was measured.

    demonstration : the encoder is a demonstration, whose features count for less
    device : a torch name
    """

    INPUTS = ("reading",)
    OUTPUT = "reading"
    STAGE = "registration"

    def __init__(
        self,
        fragment: Any,
        *,
        settings: AlignmentSettings,
        demonstration: bool,
        device: str,
        journal: RunJournal,
    ) -> None:
        self._settings = settings
        self._demonstration = demonstration
        self.device = device
        super().__init__(fragment, journal=journal)

    def work(self, reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        registered = register_priors(
            reading,
            self._settings,
            demonstration=self._demonstration,
            device=self.device,
            journal=self.journal,
        )
        return compare_with_priors(registered)
