"""A patient of blobs for registration: every value is a formula of its place, so that a move or a warp is exact."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume

Positions = NDArray[np.float64]
BODY_RADII_MM = np.array([70.0, 55.0, 62.0])
BLOBS = 40


def blob_value(positions: Positions, *, patient: int = 0) -> NDArray[np.float64]:
    """(..., 3) LPS mm to HU: an ellipsoid of soft tissue in air, with bright and dark blobs.

    patient : another number is another patient, of another shape
    """
    rng = np.random.default_rng(patient)
    radii = BODY_RADII_MM * rng.uniform(0.8, 1.2, 3) if patient else BODY_RADII_MM
    depth = 1 - np.sqrt(((positions / radii) ** 2).sum(axis=-1))
    tissue = np.full(depth.shape, 40.0)
    for _ in range(BLOBS):
        centre, width, height = rng.uniform(-0.8, 0.8, 3) * radii, rng.uniform(7, 16), rng.uniform(150, 450)
        distance = ((positions - centre) ** 2).sum(axis=-1)
        tissue += height * rng.choice([-1, 1]) * np.exp(-distance / (2 * width**2))
    skin = 1 / (1 + np.exp(-depth * 60))
    return np.asarray(-1000 + (tissue + 1000) * skin)


def blob_volume(
    transform: Callable[[Positions], Positions] = lambda positions: positions,
    *,
    shape: tuple[int, int, int] = (40, 44, 44),
    spacing: float = 4.0,
    patient: int = 0,
    look: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda value: value,
    turn: NDArray[np.float64] | None = None,
) -> Volume:
    """The patient as seen at the transformed places of an axial grid around the origin.

    look : how another modality shows the same tissue
    turn : (3, 3) rotation of the grid, for an oblique acquisition
    """
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]]) * spacing
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    geometry = Geometry(affine, shape)
    positions = geometry.positions(np.moveaxis(np.indices(shape), 0, -1))
    return Volume(look(blob_value(transform(positions), patient=patient)).astype(np.float32), geometry)


def motion(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """(4, 4) rotation about x, y, z and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def moved(matrix: NDArray[np.float64]) -> Callable[[Positions], Positions]:
    return lambda positions: positions @ matrix[:3, :3].T + matrix[:3, 3]


def bent(positions: Positions, amplitude_mm: float = 8.0, wavelength_mm: float = 150.0) -> Positions:
    """A smooth warp that no matrix describes."""
    waves = np.sin(2 * np.pi * positions[..., [1, 2, 0]] / wavelength_mm + np.array([0.3, 1.1, 2.0]))
    return np.asarray(positions + amplitude_mm * waves)


def body_points(spacing: float = 9.0) -> Positions:
    """(N, 3) places well inside the body."""
    axes = [np.arange(-radius, radius, spacing) for radius in BODY_RADII_MM]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(points[((points / BODY_RADII_MM) ** 2).sum(axis=1) < 0.7])
