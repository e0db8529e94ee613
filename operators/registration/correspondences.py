"""Poses from tokens that look alike: mutual nearest neighbours, and the motion that most of them agree on."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

TOKENS = 2000
DRAWS = 400
NEAR_MM = 25.0
"""A correspondence agrees with a motion that brings it nearer than this."""
FEWEST = 8

Points = NDArray[np.float64]


def pose_from_tokens(
    fixed_tokens: NDArray[np.float32],
    fixed_positions: Points,
    moving_tokens: NDArray[np.float32],
    moving_positions: Points,
) -> NDArray[np.float64] | None:
    """(4, 4) rigid matrix, fixed to moving, or None where too few tokens agree (RANSAC, Fischler and Bolles 1981).

    tokens : (N, C) components; positions : (N, 3) LPS mm
    """
    rng = np.random.default_rng(0)
    fixed = rng.permutation(len(fixed_tokens))[:TOKENS]
    moving = rng.permutation(len(moving_tokens))[:TOKENS]
    pairs = _mutual(fixed_tokens[fixed], moving_tokens[moving])
    if len(pairs) < FEWEST:
        return None
    here, there = fixed_positions[fixed][pairs[:, 0]], moving_positions[moving][pairs[:, 1]]
    best, most = None, FEWEST - 1
    for _ in range(DRAWS):
        three = rng.choice(len(pairs), 3, replace=False)
        near = _near(fitted_rigid(here[three], there[three]), here, there)
        if np.count_nonzero(near) > most:
            best, most = near, int(np.count_nonzero(near))
    if best is None:
        return None
    for _ in range(3):
        pose = fitted_rigid(here[best], there[best])
        best = _near(pose, here, there)
    return pose


def fitted_rigid(here: Points, there: Points) -> NDArray[np.float64]:
    """(4, 4) least-squares motion that brings the points here to those there (Kabsch 1976)."""
    centre_here, centre_there = here.mean(axis=0), there.mean(axis=0)
    left, _, right = np.linalg.svd((there - centre_there).T @ (here - centre_here))
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    pose = np.eye(4)
    pose[:3, :3] = left @ mirror @ right
    pose[:3, 3] = centre_there - pose[:3, :3] @ centre_here
    return pose


def _mutual(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> NDArray[np.intp]:
    """(N, 2) pairs of which each is the other's nearest."""
    there = cKDTree(moving).query(fixed)[1]
    back = cKDTree(fixed).query(moving)[1]
    mine = np.flatnonzero(back[there] == np.arange(len(fixed)))
    return np.stack([mine, there[mine]], axis=1)


def _near(pose: NDArray[np.float64], here: Points, there: Points) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(here @ pose[:3, :3].T + pose[:3, 3] - there, axis=1) < NEAR_MM)
