"""What a head's answers are, which decides how they are calibrated, judged and told."""

from typing import Literal

Family = Literal["labels", "classes", "grades", "value", "survival", "masks", "finding", "regions"]
"""Independent, exclusive, in order, a number, a time to an event, where parts of the body lie, whether and where
something lies, or exclusive ones of slices that only the mean over them tells."""
