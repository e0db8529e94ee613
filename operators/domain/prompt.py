"""What somebody points at on a study's page, and what is made of it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from operators.domain.concepts import Code

PROMPTING = "similarity prompt"
"""What draws a region from points: it has no weights beside the encoder's."""


@dataclass(frozen=True, slots=True)
class PromptPoint:
    """A place in a series.

    point_lps_mm : (x, y, z)
    label : 1 for "this, and what looks like it", -1 for "not this"
    """

    series_instance_uid: str
    point_lps_mm: tuple[float, float, float]
    label: Literal[1, -1]


@dataclass(frozen=True, slots=True)
class MarkedRegion:
    """A region that a person cut out of what looks like some places, and named.

    threshold : least similarity, a cosine
    name : the person's word for it; at most 64 letters
    category, type : what it is, as far as the word is known
    person : as the archive knows who was logged in; empty for a program
    """

    points: tuple[PromptPoint, ...]
    threshold: float
    name: str
    category: Code
    type: Code
    person: str

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all of it: what the region's identity is derived from."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
