"""What a head's answers are, which decides how they are calibrated, judged and told."""

from typing import Literal

Family = Literal["labels", "classes", "grades", "value", "survival", "masks"]
"""Independent, exclusive, in order, a number, a time to an event, or where something lies."""
