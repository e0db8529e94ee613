"""Two feature volumes on one lattice to displacements there and back (ConvexAdam, Siebert et al., 2021)."""

from dataclasses import dataclass

from torch import Tensor

from operators.registration.coupled_convex import correlation_volume, coupled_convex
from operators.registration.instance_optimisation import optimise
from operators.registration.inverse_consistency import made_inverse
from operators.registration.lattice import pooled, refined


@dataclass(frozen=True, slots=True)
class ConvexAdamSettings:
    """How far and how finely is looked; cells and steps count in points of the lattice.

    cell, reach : of the correlation volume: shifts up to *reach* cells of *cell* points
    steps : of the lattices that Adam works on, coarse to fine
    iterations : on each of them
    smoothness : weight of the diffusion regularisation, on each of them
    rounds, round_iterations, round_step : with features made again, and Adam's iterations and step in each
    """

    cell: int = 6
    reach: int = 4
    steps: tuple[int, ...] = (4, 2)
    iterations: tuple[int, ...] = (40, 15)
    smoothness: tuple[float, ...] = (1.0, 1.0)
    rounds: int = 2
    round_iterations: int = 20
    round_step: float = 0.2


def register(
    fixed: Tensor, moving: Tensor, fixed_weight: Tensor, moving_weight: Tensor, settings: ConvexAdamSettings
) -> tuple[Tensor, Tensor]:
    """Displacements fixed to moving and moving to fixed, both (3, d, h, w) on the finest of the settings' lattices.

    fixed, moving : (C, D, H, W) features in 0..1
    fixed_weight, moving_weight : (D, H, W) in 0..1, how much each point counts
    """
    cells = [pooled(features, settings.cell) for features in (fixed, moving)]
    forward = coupled_convex(correlation_volume(cells[0], cells[1], settings.reach), settings.reach)
    backward = coupled_convex(correlation_volume(cells[1], cells[0], settings.reach), settings.reach)
    forward, backward = made_inverse(forward, backward)
    before = settings.cell
    for step, iterations, smoothness in zip(settings.steps, settings.iterations, settings.smoothness, strict=True):
        here = pooled(fixed, step), pooled(moving, step)
        weights = pooled(fixed_weight[None], step)[0], pooled(moving_weight[None], step)[0]
        shape = tuple(here[0].shape[1:])
        forward, backward = (_refined(field, before, step, shape) for field in (forward, backward))
        forward = optimise(here[0], here[1], forward, weight=weights[0], iterations=iterations, smoothness=smoothness)
        backward = optimise(here[1], here[0], backward, weight=weights[1], iterations=iterations, smoothness=smoothness)
        before = step
    return forward, backward


def _refined(displacements: Tensor, before: int, step: int, shape: tuple[int, ...]) -> Tensor:
    return refined(displacements, before / step, shape)
