"""How a segment says that it was brought over from an earlier study."""

from pydicom import Dataset

CARRIED = "Brought over from an earlier study by registration: no new finding."


def is_carried(segment: Dataset) -> bool:
    """Whether an item of a Segment Sequence of ours says so."""
    return CARRIED in str(segment.get("SegmentDescription") or "")
