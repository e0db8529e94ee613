"""What Orthanc says of a study and its series, as far as the service asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What Orthanc says about a study; nothing of the patient's.

    last_update : on Orthanc's clock, UTC, when its last instance came
    tags : the study's main DICOM tags by keyword, for the site's rules; never stored or logged
    demographics : hex SHA-256 over what the results copy from the patient and the study
    defect : why no work can be made of the study, where that is so
    """

    orthanc_id: str
    study_instance_uid: str
    is_stable: bool
    last_update: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    demographics: str = ""
    defect: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What Orthanc says about a series.

    tags : its main DICOM tags
    expected : how many instances it is to have, where the modality told.
    """

    series_instance_uid: str
    modality: str
    instance_ids: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """What the work list shows of a series that was seen, whether or not it is read."""

    series_instance_uid: str
    modality: str
    num_instances: int
