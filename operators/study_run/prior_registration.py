"""The priors' series laid on the current ones."""

import time
from dataclasses import replace

import torch

from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import SeriesReading, SeriesRegistration, StudyReading
from operators.domain.registration import Registration
from operators.errors import ResourceError
from operators.registration.alignment import AlignmentSettings, RegistrationInput, align
from operators.study_run.journal import RunJournal


def register_priors(
    reading: StudyReading[SourceSeries],
    settings: AlignmentSettings,
    *,
    demonstration: bool,
    device: str,
    journal: RunJournal,
) -> StudyReading[SourceSeries]:
    """The reading with its priors aligned; the journal has why one is doubtful, failed or left out.

    settings : its seconds are for all of them together, the latest prior first
    demonstration : the encoder is a demonstration, whose features count for less
    """

    until = None if settings.seconds is None else time.monotonic() + settings.seconds

    def registered(fixed: SeriesReading[SourceSeries], moving: SeriesReading[SourceSeries]) -> Registration:
        sides = [RegistrationInput(one.source.volume, one.source.modality, one.encoded) for one in (fixed, moving)]
        left = None if until is None else max(until - time.monotonic(), 0.0)
        return align(
            sides[0], sides[1], settings=replace(settings, seconds=left), demonstration=demonstration, device=device
        )

    registrations: list[SeriesRegistration[SourceSeries]] = []
    for prior in reading.prior:
        for series in reading.current:
            moving = prior.compared.get(series.source.series_instance_uid)
            if moving is None:
                continue
            place = (
                f"series {moving.source.series_instance_uid} of the prior on series {series.source.series_instance_uid}"
            )
            try:
                one = SeriesRegistration(series, moving, prior, registered(series, moving))
            except (ValueError, ResourceError) as error:
                journal.warn("prior-not-used", f"{place}: {error}")
                continue
            except (MemoryError, torch.OutOfMemoryError):
                journal.warn("prior-not-used", f"{place}: memory ran out; a smaller registration_points needs less")
                continue
            if one.found.remark:
                journal.warn("prior-remark", f"{place}: {one.found.remark}")
            why = f"{place}: {'; '.join(one.found.reasons)}"
            if one.found.verdict == "doubtful":
                journal.warn("registration-doubtful", why)
            elif one.found.verdict == "failed":
                journal.warn("registration-failed", why)
            registrations.append(one)
    return replace(reading, registrations=tuple(registrations))
