"""The one entry: two images to a transform, its quality and a verdict."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import expm, logm
from torch import Tensor

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.registration import Registration, RegistrationQuality, TransformKind
from operators.domain.transform import Affine, DisplacementField, Rigid
from operators.domain.volume import Volume
from operators.errors import ResourceError
from operators.imaging.resampling import resample
from operators.registration.affine_start import follow, refine, search
from operators.registration.body import normalised
from operators.registration.convex_adam import ConvexAdamSettings, register
from operators.registration.correspondences import pose_from_tokens
from operators.registration.feature_space import (
    FeatureChoice,
    choose_features,
    described,
    on_lattice,
    token_components,
)
from operators.registration.image_lattice import ImageLattice, Matrix, patient_pose, seen_from
from operators.registration.inverse_consistency import inconsistency
from operators.registration.lattice import pooled, refined
from operators.registration.motions import nearest_rotation
from operators.registration.new_features import improve
from operators.registration.quality import (
    VerdictThresholds,
    folded_share,
    jacobian_determinants,
    log_jacobian_sd,
    verdict,
)
from operators.registration.shown_edges import ShownEdges, body_and_skin
from operators.registration.stages import Stage, begun_from, left_out, standing
from operators.registration.working_grid import Survey, drawn, known_points, lattice_geometry, survey, tensor

START_POINTS = (32**3, 56**3, 80**3)
"""Points of the lattices on which the start is looked for."""
CERTAIN_EDGE_AGREEMENT = 0.8
"""Where the patient frame leads to it nothing else is tried; no wrong pair of docs/registration.md comes near."""
CLEARLY_BETTER = 0.05
"""By so much edges have to agree better elsewhere than where the patient frame leads."""


@dataclass(frozen=True, slots=True, eq=False)
class RegistrationInput:
    """One of the two images.

    volume : a single slice is a volume of one
    modality : CT is in HU
    features : the encoder's, None to do without
    """

    volume: Volume
    modality: str
    features: FeatureVolume | None = None


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """How far a registration goes.

    kind : its last step; an earlier one stands where a later one made edges agree less
    points : of the lattice that the deformable step works on, about
    features : None chooses by what there is
    seconds : that a registration may take; None for as long as it does
    across : in the place of *convex_adam* where the two modalities differ, whose features tell less
    """

    kind: TransformKind = "deformable"
    points: int = 128**3
    features: FeatureChoice | None = None
    seconds: float | None = None
    convex_adam: ConvexAdamSettings = field(default_factory=ConvexAdamSettings)
    across: ConvexAdamSettings = field(default_factory=lambda: ConvexAdamSettings(smoothness=(3.0, 3.0)))
    thresholds: VerdictThresholds = field(default_factory=VerdictThresholds)


def align(
    fixed: RegistrationInput,
    moving: RegistrationInput,
    *,
    settings: AlignmentSettings,
    demonstration: bool = False,
    device: str = "cpu",
) -> Registration:
    """Align *moving* to *fixed*: CT or MR, volumes or single slices, with or without the encoder's features.

    demonstration : the features are a demonstration encoder's, which count for less

    Raises
    ------
    ValueError
        One is a single slice, the other a volume.
    ResourceError
        It takes longer than it may. That is asked before each look at the features, not within one.
    """
    pair = _Pair(fixed, moving, settings, demonstration, torch.device(device))
    starts = _starts(pair)
    here = pair.lattice(0, settings.points)
    there = pair.lattice(1, settings.points, float(here.geometry.spacing[-1]))
    shown = ShownEdges(here, there)
    at_rest = torch.zeros(3, *here.geometry.shape, device=pair.device)
    stages = [Stage(*start, at_rest, *shown.under(start[1].matrix)) for start in starts]
    start = begun_from(stages, settings.thresholds)
    if settings.kind == "deformable":
        reached = [*stages[: stages.index(start) + 1], _deformed(pair, shown, start.transform)]
        return _judged(pair, here, [*stages, reached[-1]], standing(reached, settings.thresholds))
    return _judged(pair, here, stages, start)


class _Pair:
    """Both images, drawn on lattices as they are asked for."""

    def __init__(
        self,
        fixed: RegistrationInput,
        moving: RegistrationInput,
        settings: AlignmentSettings,
        demonstration: bool,
        device: torch.device,
    ) -> None:
        self.settings, self.device = settings, device
        self._until = None if settings.seconds is None else time.monotonic() + settings.seconds
        self.is_across = fixed.modality != moving.modality
        self.surveys = survey(fixed.volume, fixed.modality), survey(moving.volume, moving.modality)
        if self.surveys[0].is_flat != self.surveys[1].is_flat:
            raise ValueError("registration: expected two volumes or two single slices, got one of each")
        has_encoder = fixed.features is not None and moving.features is not None
        self.choice = settings.features or choose_features(has_encoder=has_encoder, demonstration=demonstration)
        self.components: tuple[tuple[Volume, ...], tuple[Volume, ...]] = ((), ())
        if fixed.features is not None and moving.features is not None and self.choice.encoder:
            bodies = self.surveys[0].body, self.surveys[1].body
            self.components = token_components((fixed.features, moving.features), bodies)

    @property
    def is_flat(self) -> bool:
        return self.surveys[0].is_flat

    def describe(self, image: Tensor, maps: Tensor) -> Tensor:
        if self._until is not None and time.monotonic() > self._until:
            raise ResourceError("registration: it took longer than registration_seconds allows")
        return described(image, maps, self.choice)

    def lattice(self, which: int, points: int, finest_mm: float = 0.0) -> ImageLattice:
        """The fixed (0) or the moving (1) image on a lattice of about so many points over its body.

        points : a single slice gets four times the square of such a cube's side
        """
        about: Survey = self.surveys[which]
        count = round(4 * points ** (2 / 3)) if self.is_flat else points
        geometry = lattice_geometry(about.box, count, finest_mm)
        image = normalised(drawn(about.source, geometry), about.modality)
        body = resample(about.body.astype(np.float32), geometry, order=1).array
        components = self.components[which]
        maps = on_lattice(components, geometry) if components else np.zeros((0, *geometry.shape), np.float32)
        drawn_image, drawn_body = (tensor(array[None], self.device) for array in (image, body))
        valid = known_points(about.source.geometry, geometry, self.device)
        return ImageLattice(drawn_image, tensor(maps, self.device), drawn_body, valid, geometry)

    def token_poses(self) -> list[Matrix]:
        """The motion that the encoder's tokens agree on, if they do."""
        if not self.components[0] or self.is_flat:
            return []
        sides = []
        for components, about in zip(self.components, self.surveys, strict=True):
            geometry = components[0].geometry
            body = resample(about.body.astype(np.float32), geometry, order=1).array > 0.5
            tokens = np.stack([component.array[body] for component in components], axis=1)
            sides.append((tokens, geometry.positions(np.argwhere(body))))
        pose = pose_from_tokens(*sides[0], *sides[1])
        return [] if pose is None else [pose]


def _starts(pair: _Pair) -> list[tuple[str, Affine, float]]:
    """The patient frame, a rigid and perhaps an affine alignment: name, transform, and how far in mm the one found the
    other way round lies from its inverse."""
    fixed, moving = ([pair.lattice(which, points) for points in START_POINTS] for which in (0, 1))
    frame = Rigid(patient_pose(fixed[-1].geometry, moving[-1].geometry))
    rigid = _rigid(pair, fixed, moving, frame.matrix)
    is_affine = pair.settings.kind != "rigid"
    pose = refine(fixed[-1], moving[-1], pair.describe, rigid, affine=True)[1] if is_affine else rigid
    _, back = refine(moving[-1], fixed[-1], pair.describe, _inverse(pose), affine=is_affine)
    within = (fixed[0].body[0] > 0.5).nonzero().cpu().numpy()
    positions = np.insert(fixed[0].geometry.positions(within), 3, 1.0, axis=1)
    error_mm = float(np.linalg.norm(positions @ (back @ pose).T - positions, axis=1).mean()) if len(within) else 0.0
    # Half way to the inverse of the way back, so that the images may be swapped.
    half = expm(-0.5 * np.real(logm(back @ pose)))
    met = np.asarray(pose @ half, np.float64)
    met[3] = (0, 0, 0, 1)
    if not is_affine:
        return [("the patient frame", frame, error_mm), ("the rigid step", Rigid(nearest_rotation(met)), error_mm)]
    return [
        ("the patient frame", frame, error_mm),
        ("the rigid step", Rigid(nearest_rotation(rigid)), error_mm),
        ("the affine step", Affine(met), error_mm),
    ]


def _rigid(pair: _Pair, fixed: Sequence[ImageLattice], moving: Sequence[ImageLattice], frame: Matrix) -> Matrix:
    """Where the patient frame leads, unless edges agree poorly there and clearly better elsewhere."""
    shown = ShownEdges(fixed[1], moving[1])
    near = follow(fixed, moving, pair.describe, frame)
    edges, overlap = shown.under(near)
    if edges >= CERTAIN_EDGE_AGREEMENT and overlap >= pair.settings.thresholds.doubtful_overlap:
        return near
    found = search(fixed, moving, pair.describe, pair.token_poses())
    is_shown = overlap >= pair.settings.thresholds.failed_overlap
    return near if is_shown and shown.under(found)[0] < edges + CLEARLY_BETTER else found


def _inverse(pose: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(pose), np.float64)


def _deformed(pair: _Pair, shown: ShownEdges, start: Affine) -> Stage:
    settings = pair.settings.across if pair.is_across else pair.settings.convex_adam
    pose, here = start.matrix, shown.fixed
    seen = seen_from(here, shown.moving, pose)
    features = pair.describe(here.image, here.maps), pair.describe(seen.image, seen.maps)
    known = (here.valid * seen.valid)[0]
    weights = body_and_skin(here.body) * known, body_and_skin(seen.body) * known
    forward, backward = register(*features, *weights, settings)
    step, spacing = settings.steps[-1], float(here.geometry.spacing[-1])
    error = inconsistency(forward, backward)[pooled(here.body, step)[0] > 0.5]
    error_mm = float(error.mean()) * step * spacing if len(error) else 0.0
    forward, _ = improve(here, seen, pair.describe, (forward, backward), features, weights, settings)
    at_each = refined(forward, step, here.geometry.shape)
    moved = _field(forward, step, here.geometry, pose)
    return Stage("the deformable step", start, error_mm, at_each, *shown.under(pose, at_each), moved)


def _field(forward: Tensor, step: int, lattice: Geometry, pose: Matrix) -> DisplacementField:
    """A(x + u(x)) - x in mm; exact between the points too, since the affine step commutes with interpolation."""
    grid = lattice.rescaled((forward.shape[1], forward.shape[2], forward.shape[3]))
    moved = np.tensordot(lattice.affine[:3, :3] * step, forward.cpu().numpy().astype(np.float64), axes=1)
    positions = np.moveaxis(grid.positions(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    there = np.tensordot(pose[:3, :3], positions + moved, axes=1) + pose[:3, 3, None, None, None]
    return DisplacementField((there - positions).astype(np.float32), grid)


def _judged(pair: _Pair, here: ImageLattice, stages: Sequence[Stage], stands: Stage) -> Registration:
    jacobians, body = jacobian_determinants(stands.displacements), here.body[0] > 0.5
    quality = RegistrationQuality(
        edge_agreement_before=stages[0].edges,
        edge_agreement_after=stands.edges,
        overlap=stands.overlap,
        inverse_consistency_error_mm=stands.error_mm,
        folded_share=folded_share(jacobians, body),
        log_jacobian_sd=log_jacobian_sd(jacobians, body),
    )
    worst, reasons = verdict(quality, flat=pair.is_flat, across=pair.is_across, thresholds=pair.settings.thresholds)
    return Registration(stands.kind, stands.transform, stands.field, quality, worst, reasons, left_out(stages, stands))
