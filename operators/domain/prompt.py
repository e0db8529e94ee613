"""What somebody points at on a study's page."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A place in a series.

    point_lps_mm : (x, y, z)
    label : 1 for "this, and what looks like it", -1 for "not this"
    """

    series_instance_uid: str
    point_lps_mm: tuple[float, float, float]
    label: Literal[1, -1]
