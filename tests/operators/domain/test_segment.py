import numpy as np

from operators.domain.concepts import Code
from operators.domain.segment import Segment


def test_the_key_slice_is_the_first_with_most_pixels():
    mask = np.zeros((4, 3, 3), bool)
    mask[1, 0, 0] = mask[3, :2, 0] = mask[2, :2, 1] = True
    code = Code("4147007", "SCT", "Mass")
    assert Segment(1, "mass", code, code, "head", "mass 1", "2.25.1", mask).key_slice == 2
