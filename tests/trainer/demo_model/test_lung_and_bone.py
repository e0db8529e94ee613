import numpy as np

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.demo_model.lung_and_bone import BONE, LUNG, lung_and_bone_by_rule


def test_the_rule_finds_lung_and_bone_of_a_made_up_chest() -> None:
    row, column = np.ogrid[:256, :256]
    image = np.full((256, 256), -1000.0, np.float32)
    image[(row - 128) ** 2 / 90**2 + (column - 128) ** 2 / 110**2 < 1] = 40.0
    lung = ((row - 120) ** 2 + (np.abs(column - 128) - 50) ** 2) < 35**2
    bone = (row - 190) ** 2 + (column - 128) ** 2 < 12**2
    image[lung], image[bone] = -800.0, 400.0
    image[5:9, 5:250] = 300.0  # the table
    labels = lung_and_bone_by_rule(Volume(image[None], Geometry(np.eye(4), (1, 256, 256)))).array[0]
    np.testing.assert_array_equal(labels == LUNG, lung)
    np.testing.assert_array_equal(labels == BONE, bone)
