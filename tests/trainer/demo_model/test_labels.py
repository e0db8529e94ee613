import numpy as np

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.demo_model.framings import Framing, reframe
from trainer.demo_model.labels import cell_labels, lung_and_bone_by_rule, token_fraction
from trainer.features.scans import Scan

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


def test_the_rule_finds_lung_and_bone_of_a_made_up_chest() -> None:
    row, column = np.ogrid[:256, :256]
    image = np.full((256, 256), -1000.0, np.float32)
    image[(row - 128) ** 2 / 90**2 + (column - 128) ** 2 / 110**2 < 1] = 40.0
    lung = ((row - 120) ** 2 + (np.abs(column - 128) - 50) ** 2) < 35**2
    bone = (row - 190) ** 2 + (column - 128) ** 2 < 12**2
    image[lung], image[bone] = -800.0, 400.0
    image[5:9, 5:250] = 300.0  # the table
    labels = lung_and_bone_by_rule(Volume(image[None], Geometry(np.eye(4), (1, 256, 256)))).array[0]
    np.testing.assert_array_equal(labels == 1, lung)
    np.testing.assert_array_equal(labels == 3, bone)


def test_another_framing_keeps_every_voxel_at_its_place() -> None:
    array = np.random.default_rng(0).normal(size=(2, 40, 60)).astype(np.float32)
    affine = np.array([[0, 0, 0.7, -9.0], [0, 0.8, 0, 4.0], [3.0, 0, 0, 100.0], [0, 0, 0, 1.0]])
    volume = Volume(array, Geometry(affine, array.shape))
    scan = Scan("p", "CT", "CT", volume, (None, None), organs=Volume((array > 0).astype(np.uint8), volume.geometry))
    for zoom in (0.8, 1.2):
        framed = reframe(scan, Framing(zoom, circle=False))
        place = volume.geometry.positions(np.array([1, 20, 30]))
        index = tuple(np.rint(framed.volume.geometry.indices(place)).astype(int))
        assert framed.volume.array.shape[1:] == (round(40 * zoom), round(60 * zoom))
        assert framed.volume.array[index] == array[1, 20, 30]
        assert framed.organs is not None
        assert framed.organs.array[index] == (array[1, 20, 30] > 0)
    padded = reframe(scan, Framing(1.0, circle=True)).volume.array
    assert padded[0, 0, 0] == -2000.0
    assert padded[0, 20, 30] == array[0, 20, 30]
