"""What a head says about a series, before it becomes DICOM."""

from dataclasses import dataclass

from operators.domain.concepts import Code
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
    present : None when the head did not judge, then ``not_evaluated`` says why in plain words; there may be a
        probability all the same, of a head without an operating point
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

    @property
    def unjudged(self) -> str:
        """What is told of a finding that is neither present nor absent."""
        reason = self.not_evaluated or "no reason was given"
        if self.probability is None:
            return f"not evaluated, {reason}"
        return f"probability {self.probability:.3f}, {reason}"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What spoke for a finding, place by place.

    volume : log odds on the grid of the encoder's tokens, before calibration
    """

    finding: Finding
    volume: Volume


@dataclass(frozen=True, slots=True, eq=False)
class TokenContributions:
    """What each token adds to the score of a finding.

    volume : on the grid of the encoder's tokens, below 0 where one speaks against it
    """

    finding: Finding
    volume: Volume
