import numpy as np

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.features.token_labels import cell_labels, token_fraction

SOURCE = Geometry(np.diag([2.0, 1.0, 1.0, 1.0]), (2, 32, 48), "1.2")


TOKENS = SOURCE.rescaled((2, 2, 3))


def test_each_cell_takes_the_label_at_its_centre() -> None:
    labels = np.zeros(SOURCE.shape, np.uint8)
    labels[1, 16:24, 40:48] = 2  # the upper right quarter of the last token
    cells = cell_labels(Volume(labels, SOURCE), TOKENS, 2)
    assert cells.shape == (2, 6, 4)
    np.testing.assert_array_equal(cells[1, 5], [0, 2, 0, 0])
    assert cells.sum() == 2


def test_fraction_of_a_token_that_a_mask_covers() -> None:
    mask = np.zeros(SOURCE.shape, bool)
    mask[0, :16, :24] = True
    np.testing.assert_allclose(token_fraction(Volume(mask, SOURCE), TOKENS)[0], [1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
