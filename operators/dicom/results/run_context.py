"""What all objects of one run share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from operators.dicom.results.provenance import Provenance
from operators.dicom.results.uids import RunIdentity
from operators.domain.finding import Algorithm


@dataclass(frozen=True, slots=True, eq=False)
class RunContext:
    """Whose results they are, and of when.

    heads : by the name that findings and segments carry
    is_marked : the results are a region that somebody marked
    person : who did so, as a Person Name; empty for a program
    now : the run's date and time; nothing but dates depends on it
    """

    identity: RunIdentity
    provenance: Provenance
    heads: Mapping[str, Algorithm]
    now: datetime
    is_marked: bool = False
    person: str = ""
