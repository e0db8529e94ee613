"""Earlier studies of the same patient, read as the current one is."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
from pydicom import Dataset

from operators.dicom.results.registration.prior_objects import OUTLINE_CLASSES, lies_on, read_prior_segments
from operators.dicom.selection.prior_selection import check_same_patient, counterpart, days_before
from operators.dicom.selection.series_selection import SeriesDecision, select_series
from operators.dicom.study.header_values import number_of, text_of
from operators.dicom.study.study_index import Instance, StudyIndex, check_one_study, index_study
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.reading import PriorReading, SeriesReading, StudyReading
from operators.domain.segment import PriorSegment
from operators.errors import InputError, ResourceError, UnsupportedPixelDataError
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.reading_chain import ReadingChain
from operators.study_run.readout import read_findings, read_segments

MOST_OBJECTS = 20
"""That are read of one prior, the newest first."""
MOST_SEGMENTS = 200
"""That are taken from them for one series."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorReader:
    """Reads, of each earlier study, the series that show what the current ones show.

    scratch : empty folder, there until the run ends
    across_modalities : where a prior has no series of the same modality, CT is compared with MR
    """

    chain: ReadingChain
    deployment: Deployment
    scratch: Path
    journal: RunJournal
    across_modalities: bool = False

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
        outlined = answered.with_each(lambda series: self._outlined(series, study))
        by_decision = dict(zip(read, outlined.current, strict=True))
        return PriorReading(uid, days, {current: by_decision[decision] for current, decision in chosen.items()})

    def _counterparts(
        self, reading: StudyReading[SourceSeries], decisions: tuple[SeriesDecision, ...]
    ) -> dict[str, SeriesDecision]:
        """By Series Instance UID of the current series."""
        chosen: dict[str, SeriesDecision] = {}
        for source in reading.sources:
            decision = counterpart(source.modality, source.role, decisions, across_modalities=self.across_modalities)
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

    def _outlined(self, series: SeriesReading[SourceSeries], study: StudyIndex) -> SeriesReading[SourceSeries]:
        """With what objects of the study outline on it; one that cannot be read is left out and told."""
        segments: list[PriorSegment] = []
        headers: list[Dataset] = []
        for instance in _objects_on(study, series.source):
            try:
                found = self._segments_of(instance, series.source)
            except (UnsupportedPixelDataError, ResourceError) as error:
                self.journal.warn("prior-object-not-read", f"{error.code}: {error}")
                continue
            if found and len(segments) + len(found) <= MOST_SEGMENTS:
                segments += found
                headers.append(instance.header)
            elif found:
                self.journal.warn(
                    "prior-object-not-read",
                    f"object {text_of(instance.header, 'SOPInstanceUID')}: {len(found)} segments more would be over "
                    f"{MOST_SEGMENTS} on one series",
                )
        return replace(series, outlined=tuple(segments), outlines=tuple(headers))

    def _segments_of(self, instance: Instance, source: SourceSeries) -> tuple[PriorSegment, ...]:
        header, limits = instance.header, self.chain.limits
        name = f"object {text_of(header, 'SOPInstanceUID')}"
        sides = [int(number_of(header, keyword) or 1) for keyword in ("NumberOfFrames", "Rows", "Columns")]
        limits.check_size(sides, name)
        if instance.path.stat().st_size > limits.max_inflated_bytes:
            raise ResourceError(f"{name}: more than {limits.max_inflated_bytes} bytes (max_inflated_bytes)")
        try:
            return read_prior_segments(pydicom.dcmread(instance.path), source)
        except MemoryError as error:
            raise ResourceError(f"{name}: memory ran out while it was read") from error

    def _encoded(self, series: SeriesReading[SourceSeries], scratch: Path) -> SeriesReading[SourceSeries]:
        prepared = self.chain.prepare(series.source)
        entry = self.chain.entry(prepared) if self.chain.cache else None
        features = entry.find() or entry.encode() if entry else self.chain.encode(prepared, scratch=scratch)
        return replace(series, encoder_input=prepared, features=features)


def _objects_on(study: StudyIndex, source: SourceSeries) -> list[Instance]:
    """Those that outline something on the series, the newest first, as many as are read."""
    found = [
        instance
        for series in study.series
        for instance in series.instances
        if text_of(instance.header, "SOPClassUID") in OUTLINE_CLASSES and lies_on(instance.header, source)
    ]
    return sorted(found, key=lambda instance: _made(instance.header), reverse=True)[:MOST_OBJECTS]


def _made(header: Dataset) -> str:
    keywords = ("ContentDate", "ContentTime") if "ContentDate" in header else ("StructureSetDate", "StructureSetTime")
    return " ".join((*(text_of(header, keyword) for keyword in keywords), text_of(header, "SOPInstanceUID")))


def _age(prior: PriorReading[SourceSeries]) -> tuple[bool, int]:
    """Those without a date last."""
    return prior.days_before is None, prior.days_before or 0
