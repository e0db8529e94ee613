import numpy as np

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from trainer.demo_model.framings import Framing, reframe
from trainer.features.scans import Scan


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
