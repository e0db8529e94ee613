"""Linear evidence on an oblique, asymmetric grid, where the answer is known in closed form."""

import numpy as np

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.evidence import (
    SLAB,
    above,
    cell_evidence,
    class_probabilities,
    probability,
    slabs,
    strongest_class,
)
from operators.heads.linear import Linear


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        matrix = matrix @ turn
    return matrix


def oblique(shape: tuple[int, int, int]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = rotation((11.0, -23.0, 37.0)) * [4.0, 1.5, 0.7]
    affine[:3, 3] = (-31.0, 12.0, 55.0)
    return Geometry(affine, shape, "1.2.3")


def position_features(source: Geometry, grid: tuple[int, int, int]) -> FeatureVolume:
    """Tokens that hold nothing but their own position, on the flipped grid that an encoder may work on."""
    geometry = source.flipped(0).flipped(2).rescaled(grid)
    positions = geometry.positions(np.stack(np.indices(grid), axis=-1))
    tokens = positions.reshape(grid[0], -1, 3).astype(np.float32)
    return FeatureVolume(tokens.mean(axis=1), tokens, geometry)


def inner(geometry: Geometry, margin: int) -> tuple[slice, slice, slice]:
    """Within the outermost token centres, where interpolation of a plane is exact."""
    return (slice(None), slice(margin, geometry.shape[1] - margin), slice(margin, geometry.shape[2] - margin))


def test_half_spaces_come_back_on_the_source_grid() -> None:
    source = oblique((2 * SLAB + 3, 40, 56))
    features = position_features(source, (source.shape[0], 5, 7))
    centre = source.positions(np.array(source.shape) / 2)
    weight = np.array([[1.0, 0.5, 0.0], [-0.5, 1.0, 0.3]], np.float32)
    linear = Linear(weight, (-weight @ centre).astype(np.float32))
    labels = strongest_class(cell_evidence(features, linear, 1), source)
    positions = source.positions(np.stack(np.indices(source.shape), axis=-1))
    truth = (positions - centre) @ weight.T
    expected = np.where(truth.max(axis=-1) > 0, truth.argmax(axis=-1) + 1, 0)
    sure = np.abs(np.diff(np.sort(np.concatenate([truth, np.zeros((*source.shape, 1))], -1), -1)[..., 1:])) > 1e-2
    region = inner(source, 5)
    assert set(np.unique(expected[region])) == {0, 1, 2}
    np.testing.assert_array_equal(labels[region][sure[region][..., 0]], expected[region][sure[region][..., 0]])


def test_above_cuts_a_plane_at_its_threshold() -> None:
    source = oblique((SLAB + 1, 30, 20))
    features = position_features(source, (source.shape[0], 3, 2))
    linear = Linear(np.array([[0.0, 0.0, 1.0]], np.float32), np.zeros(1, np.float32))
    threshold = float(source.positions(np.array(source.shape) / 2)[2])
    mask = above(cell_evidence(features, linear, 1)[0], threshold, source)
    z = source.positions(np.stack(np.indices(source.shape), axis=-1))[..., 2]
    region = inner(source, 5)
    sure = np.abs(z[region] - threshold) > 1e-2
    np.testing.assert_array_equal(mask[region][sure], z[region][sure] > threshold)


def test_cells_of_a_patch_are_judged_each_by_its_own() -> None:
    """The outputs' order is class, cell row, cell column; the token at (row, column) owns that block of cells."""
    geometry = Geometry(np.eye(4), (1, 2, 3))
    tokens = np.arange(6, dtype=np.float32).reshape(1, 6, 1)
    features = FeatureVolume(tokens[:, 0], tokens, geometry)
    linear = Linear(np.zeros((8, 1), np.float32), np.arange(8, dtype=np.float32))
    linear.weight[:] = 100.0
    first, second = cell_evidence(features, linear, 2)
    assert first.geometry.shape == (1, 4, 6)
    np.testing.assert_array_equal(second.array - first.array, 4.0)
    # Token (1, 2) is number 5; its cells lie in rows 2 and 3, columns 4 and 5.
    np.testing.assert_array_equal(first.array[0, 2:4, 4:6], [[500, 501], [502, 503]])
    np.testing.assert_allclose(first.geometry.positions(np.array([0, 2, 4])), [0.0, 0.75, 1.75])


def test_slabs_cover_the_grid_once_and_lie_where_they_belong() -> None:
    source = oblique((2 * SLAB + 1, 3, 4))
    covered = np.zeros(source.shape[0], int)
    for place, slab in slabs(source):
        covered[place] += 1
        np.testing.assert_allclose(slab.positions(np.array([0, 1, 2])), source.positions(np.array([place.start, 1, 2])))
    np.testing.assert_array_equal(covered, 1)


def test_no_evidence_is_background() -> None:
    source = oblique((3, 8, 8))
    evidence = Volume(np.full((3, 2, 2), -1.0, np.float32), source.rescaled((3, 2, 2)))
    assert not strongest_class((evidence, evidence), source).any()


def test_probabilities_are_softmax_with_a_silent_background() -> None:
    """On a plane of evidence the closed form holds everywhere within the outermost token centres."""
    source = oblique((SLAB + 1, 30, 20))
    features = position_features(source, (source.shape[0], 3, 2))
    centre = source.positions(np.array(source.shape) / 2)
    weight = np.array([[0.1, 0.05, 0.0], [-0.05, 0.1, 0.3]], np.float32)
    evidence = cell_evidence(features, Linear(weight, (-weight @ centre).astype(np.float32)), 1)
    positions = source.positions(np.stack(np.indices(source.shape), axis=-1))
    first, second = np.moveaxis(np.exp((positions - centre) @ weight.T), -1, 0)
    region = inner(source, 5)
    for found, odds in zip(class_probabilities(evidence, source), (first, second), strict=True):
        truth = 255 * odds / (1 + first + second)
        np.testing.assert_allclose(found[region], truth[region], atol=0.51)
    np.testing.assert_allclose(probability(evidence[0], source)[region], (255 * first / (1 + first))[region], atol=0.51)
