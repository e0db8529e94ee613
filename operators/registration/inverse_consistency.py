"""Two displacement fields that undo one another."""

import torch
from torch import Tensor

from operators.registration.lattice import identity_places, sample


def made_inverse(forward: Tensor, backward: Tensor, *, iterations: int = 15) -> tuple[Tensor, Tensor]:
    """Both (3, d, h, w) fields moved half way to the other's inverse, over and over (Heinrich and Hansen, 2022)."""
    places = identity_places(tuple(forward.shape[1:]), forward.device)
    for _ in range(iterations):
        forward, backward = (
            0.5 * (forward - sample(backward, places + forward)),
            0.5 * (backward - sample(forward, places + backward)),
        )
    return forward, backward


def inconsistency(forward: Tensor, backward: Tensor) -> Tensor:
    """(d, h, w) how far each point ends from where it began when it goes there and back, in steps."""
    places = identity_places(tuple(forward.shape[1:]), forward.device)
    back = forward + sample(backward, places + forward)
    distances: Tensor = torch.linalg.vector_norm(back, dim=0)
    return distances
