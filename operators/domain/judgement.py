"""What people say of findings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from operators.domain.concepts import Code

Opinion = Literal["accepted", "rejected", "corrected"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one person said of one finding.

    tracking_uid : of the finding's place, None where it has none
    person : as the archive knows who was logged in; empty for a program
    """

    finding: str
    code: Code
    tracking_uid: str | None
    verdict: Opinion
    comment: str
    person: str
    at: datetime
