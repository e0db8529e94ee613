"""Features made again from the warped image: self-similarity changes where tissue is turned or stretched.

What was found by the features as they first were is therefore a little off. Once the moving image has been warped, its
features are those of the fixed image wherever the warp is right, and what is left to find is small.
"""

import torch
from torch import Tensor

from operators.registration.convex_adam import ConvexAdamSettings
from operators.registration.image_lattice import Describe, ImageLattice
from operators.registration.instance_optimisation import optimise
from operators.registration.inverse_consistency import made_inverse
from operators.registration.lattice import identity_places, pooled, refined, sample


def improve(
    fixed: ImageLattice,
    moving: ImageLattice,
    describe: Describe,
    fields: tuple[Tensor, Tensor],
    features: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    settings: ConvexAdamSettings,
) -> tuple[Tensor, Tensor]:
    """The displacements there and back, each the other's inverse, after some rounds with new features.

    fixed, moving : on one lattice
    fields : fixed to moving and moving to fixed, both (3, d, h, w) on the finest of the settings' lattices
    features : (C, D, H, W) of the two images
    weights : (D, H, W) of the two images
    """
    step = settings.steps[-1]
    known = [pooled(each, step) for each in features]
    shares = [pooled(weight[None], step)[0] for weight in weights]
    forward, backward = made_inverse(*fields)
    for _ in range(settings.rounds):
        forward, backward = made_inverse(
            _improved(forward, known[0], moving, describe, shares[0], settings),
            _improved(backward, known[1], fixed, describe, shares[1], settings),
        )
    return forward, backward


def _improved(
    field: Tensor,
    features: Tensor,
    other: ImageLattice,
    describe: Describe,
    weight: Tensor,
    settings: ConvexAdamSettings,
) -> Tensor:
    step = settings.steps[-1]
    places = identity_places(other.geometry.shape, field.device) + refined(field, step, other.geometry.shape)
    maps = sample(other.maps, places) if len(other.maps) else other.maps
    warped = pooled(describe(sample(other.image, places), maps), step)
    change = optimise(
        features,
        warped,
        torch.zeros_like(field),
        weight=weight,
        iterations=settings.round_iterations,
        smoothness=settings.smoothness[-1],
        step=settings.round_step,
    )
    return change + sample(field, identity_places(tuple(field.shape[1:]), field.device) + change)
