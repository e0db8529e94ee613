import numpy as np

from operators.domain.concepts import SEGMENTS
from operators.domain.geometry import Geometry
from operators.domain.segment import Segment
from operators.study_run.lesion_links import same_things

GRID = Geometry(np.eye(4), (4, 20, 20))


def segment(uid: str, start: int, stop: int, label: str = "soft-tissue mass") -> Segment:
    """Columns *start* to *stop* of the grid."""
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 5:15, start:stop] = True
    return Segment(1, label, *SEGMENTS[label], "mass", f"id {uid}", uid, mask)


def test_a_thing_that_moved_a_little_is_the_same_and_a_new_one_is_not() -> None:
    assert same_things([segment("t1", 2, 6), segment("t2", 12, 15)], [segment("p", 3, 7)]) == {0: 0}


def test_of_two_that_grew_together_each_predecessor_has_one_successor() -> None:
    today = [segment("t1", 2, 8), segment("t2", 8, 14)]
    assert same_things(today, [segment("p1", 7, 12), segment("p2", 2, 4)]) == {0: 1, 1: 0}


def test_another_type_and_a_mere_touch_are_not_linked() -> None:
    assert same_things([segment("t", 2, 6, "liver")], [segment("p", 2, 6)]) == {}
    assert same_things([segment("t", 2, 14)], [segment("p", 13, 20)]) == {0: 0}
    big, other = segment("t", 0, 12), segment("p", 11, 20)
    other.mask[:, :, 12:] = True
    assert same_things([big], [other]) == {}


def test_nothing_to_link_gives_no_links() -> None:
    assert same_things([segment("t", 2, 6)], []) == same_things([], [segment("p", 2, 6)]) == {}
