"""Which studies are ours to run, and what the identity of that work is: pure functions.

Only CT and MR series count as source. That is the guard against running on our own results: a SEG or SR that
arrives, by REST or back from another archive by DIMSE, never changes the digest.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts

SOURCE_MODALITIES = frozenset({"CT", "MR"})

MANUFACTURER = "curia-pacs"
"""Our name as the pipeline writes it into every object."""

_NOT_IMAGES = {
    "SR": "a report",
    "SEG": "a segmentation",
    "PR": "a presentation state",
    "KO": "a selection of key objects",
    "REG": "a registration",
    "RWV": "a mapping of values",
    "RTSTRUCT": "contours",
    "RTPLAN": "a treatment plan",
    "DOC": "a document",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The instances that a run reads.

    digest : hex SHA-256 over their sorted Orthanc ids, each of which is a function of the patient id and of the
        study, series and SOP Instance UIDs, and over the demographics, which the results carry too
    series : those that the instances are of
    """

    instance_ids: tuple[str, ...]
    digest: str
    series: tuple[SeriesFacts, ...]


def select_source(
    series: Iterable[SeriesFacts], own_series_uids: Collection[str] = (), *, demographics: str = ""
) -> Source | None:
    """The CT and MR instances of a study without those that we wrote, or None when there are none."""
    images = (one for one in series if why_not_read(one.modality, is_own=is_own(one, own_series_uids)) is None)
    read = tuple(sorted(images, key=lambda one: one.series_instance_uid))
    instance_ids = sorted(instance_id for one in read for instance_id in one.instance_ids)
    if not instance_ids:
        return None
    named = [*instance_ids, demographics] if demographics else instance_ids
    return Source(tuple(instance_ids), hashlib.sha256("\n".join(named).encode()).hexdigest(), read)


def is_own(series: SeriesFacts, own_series_uids: Collection[str]) -> bool:
    """Whether we wrote it: the ledger says so, or, where the ledger was lost or another's, the series itself."""
    return series.series_instance_uid in own_series_uids or series.tags.get("Manufacturer") == MANUFACTURER


def missing_instances(source: Source) -> int:
    """How many images fewer have come than the modality told; 0 where it told nothing."""
    return sum(max(0, (one.expected or 0) - len(one.instance_ids)) for one in source.series)


def why_not_read(modality: str, *, is_own: bool) -> str | None:
    """Why a series is not handed to the pipeline, in plain words; None for one that is."""
    if is_own:
        return "written by curia-pacs"
    if modality in _NOT_IMAGES:
        return f"{_NOT_IMAGES[modality]}, not an image series"
    return None if modality in SOURCE_MODALITIES else "only CT and MR images are read"


def remaining_quiet_seconds(study: StudyFacts, *, now: datetime, quiet_seconds: float) -> float | None:
    """Seconds until the study has been silent long enough, 0 when it has, None when Orthanc says it is unstable.

    Orthanc's flag alone is no proof: after a restart it reads true even for half a study. Both times are
    Orthanc's own; a last update that lies ahead of its clock means that the clock was set back.
    """
    if not study.is_stable:
        return None
    silent_seconds = (now - study.last_update).total_seconds()
    if silent_seconds < 0:
        return 0.0
    return max(0.0, quiet_seconds - silent_seconds)


def is_backlog(study: StudyFacts, *, now: datetime, backlog_days: float) -> bool:
    """Whether the study last changed too long ago to be run without being asked."""
    return now - study.last_update > timedelta(days=backlog_days)


def work_identity(
    *, study_instance_uid: str, source_digest: str, pipeline_digest: str, late_priors: Collection[str] = ()
) -> str:
    """Hex name of the work; the same work has the same name on every host and after every crash.

    late_priors : Orthanc ids of the earlier studies that came after the study was done, and of those beside them: they
        make a follow-up run of it
    """
    named = (study_instance_uid, source_digest, pipeline_digest, *sorted(late_priors))
    return hashlib.sha256("\n".join(named).encode()).hexdigest()
