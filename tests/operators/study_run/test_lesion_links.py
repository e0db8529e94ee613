import numpy as np

from operators.domain.concepts import SEGMENTS
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment, SeriesSegments
from operators.study_run.lesion_links import linked

GRID = Geometry(np.eye(4), (4, 20, 20))


def segment(uid: str, start: int, stop: int, label: str = "soft-tissue mass") -> Segment:
    """Columns *start* to *stop* of the grid."""
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 5:15, start:stop] = True
    return Segment(1, label, *SEGMENTS[label], "mass", f"id {uid}", uid, mask)


def of(*segments: Segment) -> SeriesSegments:
    return SeriesSegments("1.2.3", GRID, segments)


def uids(segments: SeriesSegments) -> list[str]:
    return [one.tracking_uid for one in segments.segments]


def test_a_successor_keeps_the_tracking_uid_and_a_new_lesion_its_own() -> None:
    found = linked(of(segment("t1", 2, 6), segment("t2", 12, 15)), of(segment("p", 3, 7)))
    assert uids(found) == ["p", "t2"]
    assert found.segments[0].tracking_id == "id p"


def test_of_two_that_grew_together_each_predecessor_has_one_successor() -> None:
    found = linked(of(segment("t1", 2, 8), segment("t2", 8, 14)), of(segment("p1", 7, 12), segment("p2", 2, 4)))
    assert uids(found) == ["p2", "p1"]


def test_another_type_and_a_mere_touch_are_not_linked() -> None:
    assert uids(linked(of(segment("t", 2, 6, "liver")), of(segment("p", 2, 6)))) == ["t"]
    assert uids(linked(of(segment("t", 2, 14)), of(segment("p", 13, 20)))) == ["p"]
    big, other = segment("t", 0, 12), segment("p", 11, 20)
    other.mask[:, :, 12:] = True
    assert uids(linked(of(big), of(other))) == ["t"]


def test_nothing_to_link_leaves_today_as_it_is() -> None:
    today = of(segment("t", 2, 6))
    assert linked(today, of()) is today
