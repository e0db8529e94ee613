"""A rigid, then an affine alignment that needs no good beginning.

A pose is refined by Gauss-Newton on the features, coarse to fine. The features of the moving image are made again after
each pose, because self-similarity turns with the image. Where no pose is at hand that leads there, many are compared by
normalised mutual information on few points, the best climb to their nearest optimum, and the best of those are refined.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.spatial.transform import Rotation
from torch import Tensor

from operators.domain.geometry import Geometry
from operators.registration.image_lattice import (
    Describe,
    ImageLattice,
    Matrix,
    patient_pose,
    places_under,
    seen_from,
)
from operators.registration.lattice import inside, sample
from operators.registration.motions import about, generators
from operators.registration.mutual_information import normalised_mutual_information, soft_bins

POINTS = 2500
TURNS_DEGREES = (-22.0, 0.0, 22.0)
"""About each axis: with these and what climbing catches, 30 degrees about any axis are within reach."""
OFFSETS_MM = (-45.0, 0.0, 45.0)
ALONG_MM = (-160.0, -120.0, -80.0, -40.0, 0.0, 40.0, 80.0, 120.0, 160.0)
"""Along the slices, where two fields of view differ most."""
CLIMBERS = 16
FINALISTS = 3
ROUNDS = 10
"""In which a pose is refined, at most; in each the moving image's features are made anew."""
STEPS = 5
"""Of Gauss and Newton in one round."""
LEAST_PROGRESS = 0.01
"""Of the features' difference: a round that gains less is the last."""
SMALLEST_OVERLAP = 0.2
"""Share of the fixed body's points that a pose must bring into the moving image."""


def follow(fixed: Sequence[ImageLattice], moving: Sequence[ImageLattice], describe: Describe, pose: Matrix) -> Matrix:
    """(4, 4) rigid matrix, fixed to moving LPS mm, to which refining leads from one pose.

    fixed, moving : the two images, coarse to fine
    """
    for here, there in zip(fixed, moving, strict=True):
        pose = refine(here, there, describe, pose, affine=False)[1]
    return pose


def search(
    fixed: Sequence[ImageLattice], moving: Sequence[ImageLattice], describe: Describe, poses: Sequence[Matrix]
) -> Matrix:
    """(4, 4) rigid matrix, fixed to moving LPS mm, the best of many.

    fixed, moving : the two images, coarse to fine
    poses : further places to begin at, beside the patient frame and the bodies' middles
    """
    best = _climbed(fixed[0], moving[0], poses)
    for level, count in zip(range(1, len(fixed)), (FINALISTS, 1, 1), strict=False):
        refined = [refine(fixed[level], moving[level], describe, pose, affine=False) for pose in best[:count]]
        best = [pose for _, pose in sorted(refined, key=lambda found: found[0])]
    return best[0]


def refine(
    fixed: ImageLattice,
    moving: ImageLattice,
    describe: Describe,
    pose: Matrix,
    *,
    affine: bool,
) -> tuple[float, Matrix]:
    """The mean squared difference of features at the best pose near *pose*, and that pose (Gauss-Newton)."""
    shape = fixed.geometry.shape
    device = fixed.image.device
    points = _points(fixed, 2 * POINTS)  # (N, 3) indices
    fixed_features = sample(describe(fixed.image, fixed.maps), points.T)
    known = sample(fixed.valid, points.T)[0] > 0.5
    centre, radius = _extent(fixed)
    motions = generators(fixed.geometry.directions, radius, flat=shape[0] == 1, affine=affine)
    positions = fixed.geometry.positions(points.cpu().numpy())
    homogeneous = np.concatenate([positions - centre, np.ones((len(positions), 1))], axis=1)
    to_index = np.linalg.inv(fixed.geometry.affine)[:3, :3]
    # How each parameter moves each point, in the lattice's steps: (K, N, 3)
    moves = torch.from_numpy(((motions @ homogeneous.T).transpose(0, 2, 1)[..., :3] @ to_index.T).astype(np.float32))
    moves = moves.to(device)
    best = (np.inf, pose)
    for _ in range(ROUNDS + 1):
        seen = seen_from(fixed, moving, pose)
        features = describe(seen.image, seen.maps)
        local = np.eye(4)
        for step in range(STEPS):
            places = _places(points, local, fixed.geometry)
            found = sample(features, places)
            weight = inside(places, shape).float() * (sample(seen.valid, places)[0] > 0.5) * known
            difference = found - fixed_features
            squared = difference.square().mean(dim=0)
            cost = float((squared * weight).sum() / weight.sum().clamp(min=1.0))
            if step == 0:
                if weight.mean() < SMALLEST_OVERLAP:
                    return best if np.isfinite(best[0]) else (1e9, pose)
                is_settled = cost > (1 - LEAST_PROGRESS) * best[0]
                best = min(best, (cost, pose), key=lambda found: found[0])
                if is_settled:
                    return best
            # Changes and noise shall not pull: Geman and McClure's weights.
            scale = squared[weight > 0].median().clamp(min=1e-8)
            weight = weight * (4 * scale / (4 * scale + squared)).square()
            along = torch.einsum("kni,icn->kcn", moves, _slopes(features, places)) * weight.sqrt()
            along = along.flatten(1)  # (K, C * N)
            hessian = (along @ along.T).double()
            descent = (along @ (difference * weight.sqrt()).flatten()).double()
            damping = 1e-3 * hessian.diagonal().mean() + 1e-9
            change = torch.linalg.solve(hessian + damping * torch.eye(len(hessian), device=device), -descent)
            local = local @ _motion(motions, change.cpu().numpy(), centre)
            if change.abs().max() < 0.01:
                break
        pose = pose @ local
        pose[3] = (0, 0, 0, 1)
    return best


def _climbed(fixed: ImageLattice, moving: ImageLattice, poses: Sequence[Matrix]) -> list[Matrix]:
    """The poses where climbing ends, the best first."""
    points = _points(fixed, POINTS)
    centre, radius = _extent(fixed)
    fixed_bins = soft_bins(sample(fixed.image, points.T)[0])
    positions = torch.from_numpy(fixed.geometry.positions(points.cpu().numpy())).to(points)
    homogeneous = torch.cat([positions, torch.ones_like(positions[:, :1])], dim=1)
    to_moving = torch.from_numpy(np.linalg.inv(moving.geometry.affine)).to(points)

    def similarity(candidates: Tensor) -> Tensor:
        places = (to_moving @ candidates)[:, :3] @ homogeneous.T  # (P, 3, N)
        places = places.permute(1, 0, 2)
        valid = inside(places, moving.geometry.shape).float()
        found = sample(moving.image, places.reshape(3, -1))[0].reshape(valid.shape)
        overlap = valid.mean(dim=1)
        score = normalised_mutual_information(fixed_bins, found, valid) - 1
        # A small overlap is easily similar by chance.
        return torch.where(overlap < SMALLEST_OVERLAP, overlap - 1, score * overlap.sqrt())

    candidates = torch.from_numpy(np.stack(_candidates(fixed, moving, poses))).to(points)
    with torch.no_grad():
        scores = torch.cat([similarity(part) for part in torch.split(candidates, 64)])
    chosen = candidates[scores.topk(min(CLIMBERS, len(scores))).indices]
    # The patient frame and what was handed in climb too, whatever they score.
    chosen = torch.cat([candidates[: 1 + len(poses)], chosen])
    flat = fixed.geometry.shape[0] == 1
    motions = torch.from_numpy(generators(fixed.geometry.directions, radius, flat=flat, affine=False)).to(points)
    parameters = torch.zeros(len(chosen), len(motions), device=points.device, requires_grad=True)
    adam = torch.optim.Adam([parameters], lr=4.0)
    top = torch.full((len(chosen),), -2.0, device=points.device)
    kept = chosen.clone()
    for iteration in range(40):
        for group in adam.param_groups:
            group["lr"] = 4.0 * 0.93**iteration
        adam.zero_grad()
        moved = chosen @ about(centre, torch.matrix_exp(torch.einsum("pk,kij->pij", parameters, motions)))
        score = similarity(moved)
        better = score.detach() > top
        top = torch.where(better, score.detach(), top)
        kept = torch.where(better[:, None, None], moved.detach(), kept)
        (-score.sum()).backward()  # type: ignore[no-untyped-call]
        adam.step()
    order = top.argsort(descending=True)
    return _distinct([kept[int(k)].double().cpu().numpy() for k in order], positions.cpu().numpy())


def _candidates(fixed: ImageLattice, moving: ImageLattice, poses: Sequence[Matrix]) -> list[Matrix]:
    centre, _ = _extent(fixed)
    there, _ = _extent(moving)
    patient_frame = patient_pose(fixed.geometry, moving.geometry)
    axes = fixed.geometry.directions
    flat = fixed.geometry.shape[0] == 1
    turns = [(a, 0.0, 0.0) for a in TURNS_DEGREES] if flat else list(itertools.product(TURNS_DEGREES, repeat=3))
    middle = there - (patient_frame[:3, :3] @ centre + patient_frame[:3, 3])
    if flat:
        middle = middle - axes[:, 0] * (axes[:, 0] @ middle)
    along = axes[:, int(np.argmax(np.abs(axes[2])))]
    offsets = [axes @ np.array(o) for o in itertools.product((0.0,) if flat else OFFSETS_MM, OFFSETS_MM, OFFSETS_MM)]
    offsets += [middle + along * step for step in ((0.0,) if flat else ALONG_MM)]
    made = [patient_frame, *poses]
    for turn in turns:
        rotation = np.eye(4)
        rotation[:3, :3] = axes @ Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ axes.T
        turned = patient_frame @ about(centre, torch.from_numpy(rotation)).numpy()
        for offset in offsets:
            shifted = turned.copy()
            shifted[:3, 3] += offset
            made.append(shifted)
    return made


def _distinct(poses: list[Matrix], positions: NDArray[np.float64], apart_mm: float = 8.0) -> list[Matrix]:
    kept: list[tuple[Matrix, NDArray[np.float64]]] = []
    for pose in poses:
        moved = positions[::50] @ pose[:3, :3].T + pose[:3, 3]
        if all(np.linalg.norm(moved - other, axis=1).mean() > apart_mm for _, other in kept):
            kept.append((pose, moved))
    return [pose for pose, _ in kept]


def _points(lattice: ImageLattice, count: int) -> Tensor:
    """(N, 3) indices spread evenly over the body."""
    points = _within(lattice).float()
    if len(points) > count:
        chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(points))[:count])
        points = points[chosen.to(points.device)]
    return points


def _extent(lattice: ImageLattice) -> tuple[NDArray[np.float64], float]:
    """Middle of the body, and the distance from it to its rim, roughly."""
    positions = lattice.geometry.positions(_within(lattice).cpu().numpy())
    centre = positions.mean(axis=0)
    return centre, float(np.sqrt(((positions - centre) ** 2).sum(axis=1).mean())) or 1.0


def _within(lattice: ImageLattice) -> Tensor:
    """(N, 3) indices of the body's points; of all where there is no body."""
    points = (lattice.body[0] > 0.5).nonzero()
    return points if len(points) else torch.ones_like(lattice.body[0]).nonzero()


def _slopes(features: Tensor, places: Tensor) -> Tensor:
    """(3, C, N) central differences of (C, D, H, W) features along each axis at (3, N) places."""
    made = []
    for axis, size in enumerate(features.shape[1:]):
        step = torch.zeros(3, 1, device=places.device)
        step[axis] = 1.0 if size > 1 else 0.0
        made.append((sample(features, places + step) - sample(features, places - step)) / 2)
    return torch.stack(made)


def _places(points: Tensor, local: Matrix, geometry: Geometry) -> Tensor:
    """(3, N) where a motion in mm takes the points, in indices."""
    return places_under(local, geometry, geometry, points.T)


def _motion(motions: Matrix, parameters: NDArray[np.float64], centre: NDArray[np.float64]) -> Matrix:
    return about(centre, torch.from_numpy(expm(np.einsum("k,kij->ij", parameters, motions)))).numpy()
