"""What a head says about a study, before it becomes DICOM."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from operators.domain.concepts import Code
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The head that made a result: enough to tell it from every other (TID 4019)."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Localisation:
    """Where a finding was seen.

    segment_number : in the SEG of the series, or None when no mask was written
    sop_instance_uid : the source slice that shows it best
    point_lps_mm : (x, y, z)
    """

    segment_number: int | None
    sop_instance_uid: str
    point_lps_mm: tuple[float, float, float]
    tracking_uid: str
    volume_ml: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a head looked for in one series.

    laterality : of the site: left, right, ... (CID 244)
    present : None when the head did not judge, then ``not_evaluated`` says why in plain words
    probability, threshold : 0..1, None for a head that gives none
    """

    name: str
    code: Code
    site: Code | None
    head: str
    series_instance_uid: str
    probability: float | None
    threshold: float | None
    present: bool | None
    not_evaluated: str | None = None
    localisation: Localisation | None = None
    laterality: Code | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A mask on the source series' own grid.

    number : 1, 2, ... within the series' SEG
    mask : (D, H, W) bool, in the order of the source volume
    finding : name of the finding that the mask localises, None for anatomy
    probability : (D, H, W) uint8 in steps of 1/255 that a voxel belongs to the segment, only when it was asked for
    """

    number: int
    label: str
    category: Code
    type: Code
    head: str
    tracking_id: str
    tracking_uid: str
    mask: Any
    finding: str | None = None
    probability: Any = None

    @property
    def key_slice(self) -> int:
        """Index of the slice on which the mask covers most pixels, the first of equals."""
        return int(np.argmax(self.mask.sum(axis=(1, 2))))


@dataclass(frozen=True, slots=True, eq=False)
class SeriesSegments:
    """Every non-empty segment of one source series."""

    series_instance_uid: str
    geometry: Geometry
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its unit (UCUM), tied to a segment by the tracking UID."""

    name: str
    code: Code
    value: float
    unit: Code
    series_instance_uid: str
    segment_number: int
    tracking_uid: str


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What spoke for a finding, place by place.

    volume : log odds on the grid of the encoder's tokens, before calibration
    """

    finding: Finding
    volume: Volume


@dataclass(frozen=True, slots=True)
class StudyReadout:
    """All that the heads say about a study; ``segments`` has an entry for each series, empty ones too."""

    findings: tuple[Finding, ...]
    segments: tuple[SeriesSegments, ...]
    measurements: tuple[Measurement, ...]
    evidence: tuple[Evidence, ...] = ()
