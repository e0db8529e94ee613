"""Earlier studies of the same patient, read as the current one is."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from operators.dicom.selection.prior_selection import check_same_patient, counterpart, days_before
from operators.dicom.selection.series_selection import SeriesDecision, select_series
from operators.dicom.study.study_index import check_one_study, index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import PriorReading, SeriesReading, StudyReading
from operators.errors import InputError, ResourceError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain
from operators.study_run.readout import read_findings, read_segments


@dataclass(frozen=True, slots=True, eq=False)
class PriorReader:
    """Reads, of each earlier study, the series that show what the current ones show.

    scratch : empty folder, there until the run ends
    """

    chain: ReadingChain
    deployment: Deployment
    scratch: Path
    journal: RunJournal

    def read(self, folders: Iterable[Path], reading: StudyReading[SourceSeries]) -> StudyReading[SourceSeries]:
        """The reading with its priors, the latest first.

        A prior that cannot be read or compared is left out, and the journal has the reason: the current study's
        results do not depend on it.
        """
        priors = [prior for folder in folders for prior in self._readable(folder, reading)]
        return replace(reading, prior=tuple(sorted(priors, key=_age)))

    def _readable(self, folder: Path, reading: StudyReading[SourceSeries]) -> Iterator[PriorReading[SourceSeries]]:
        try:
            yield self._prior(folder, reading)
        except (InputError, ResourceError) as error:
            self.journal.warn("prior-not-read", f"{error.code}: {error}")
        except MemoryError:
            self.journal.warn("prior-not-read", f"{ResourceError.code}: memory ran out while a prior was read")

    def _prior(self, folder: Path, reading: StudyReading[SourceSeries]) -> PriorReading[SourceSeries]:
        scratch = Path(tempfile.mkdtemp(prefix="prior-", dir=self.scratch))
        study = index_study(folder, scratch=scratch, limits=self.chain.limits)
        uid = check_one_study(study)
        current, header = reading.sources[0].headers[0], study.series[0].headers[0]
        check_same_patient(current, header)
        days = days_before(current, header)
        decisions = self.chain.look_again(select_series(study, self.chain.rules, limits=self.chain.limits))
        chosen = self._counterparts(reading, decisions)
        read = {decision: SeriesReading(self.chain.read(decision)) for decision in dict.fromkeys(chosen.values())}
        answered = self._answered(StudyReading(tuple(read.values())), scratch)
        by_decision = dict(zip(read, answered.current, strict=True))
        return PriorReading(uid, days, {current: by_decision[decision] for current, decision in chosen.items()})

    def _counterparts(
        self, reading: StudyReading[SourceSeries], decisions: tuple[SeriesDecision, ...]
    ) -> dict[str, SeriesDecision]:
        """By Series Instance UID of the current series."""
        chosen: dict[str, SeriesDecision] = {}
        for source in reading.sources:
            decision = counterpart(source.modality, source.role, decisions)
            if decision:
                chosen[source.series_instance_uid] = decision
                self.journal.warn(
                    "prior-remark",
                    f"series {source.series_instance_uid} is compared with series "
                    f"{decision.series.series_instance_uid} of the prior: {'; '.join(decision.reasons)}",
                )
        if not chosen:
            modalities = " or ".join(dict.fromkeys(source.modality for source in reading.sources))
            raise InputError(f"prior: none of its {len(decisions)} series is a {modalities} volume that can be read")
        return chosen

    def _answered(self, prior: StudyReading[SourceSeries], scratch: Path) -> StudyReading[SourceSeries]:
        """With what the heads say about it, as of a current study."""
        encoded = prior.with_each(lambda series: self._encoded(series, scratch))
        read = read_findings(encoded, self.deployment.model.heads, device=self.chain.encoder.devices[0])
        return read_segments(read, self.deployment)

    def _encoded(self, series: SeriesReading[SourceSeries], scratch: Path) -> SeriesReading[SourceSeries]:
        prepared = self.chain.prepare(series.source)
        entry = self.chain.entry(prepared) if self.chain.cache else None
        features = entry.find() or entry.encode() if entry else self.chain.encode(prepared, scratch=scratch)
        return replace(series, encoder_input=prepared, features=features)


def _age(prior: PriorReading[SourceSeries]) -> tuple[bool, int]:
    """Those without a date last."""
    return prior.days_before is None, prior.days_before or 0
