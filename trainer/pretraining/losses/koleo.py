"""KoLeo: keeps every feature away from its nearest neighbour (Sablayrolles et al. 2019), as DINOv2 uses it."""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.pretraining.collectives import gather_rows, num_ranks

EPS = 1e-8


def koleo_loss(features: Tensor) -> Tensor:
    """Minus the mean log distance to the nearest other row on the unit sphere, over all ranks' rows.

    features : (n, D), one view of each slice; n the same on all ranks
    """
    unit = functional.normalize(features.float(), dim=-1, eps=EPS)
    everyone = gather_rows(unit)
    if len(everyone) < 2:
        return unit.sum() * 0.0
    first = torch.distributed.get_rank() * len(unit) if num_ranks() > 1 else 0
    with torch.no_grad(), torch.autocast(unit.device.type, enabled=False):
        cosines = unit @ everyone.mT
        cosines.diagonal(first).fill_(-2.0)
        nearest = cosines.argmax(dim=1)
    distance = torch.linalg.vector_norm(unit - everyone[nearest] + EPS, dim=-1)
    return -torch.log(distance + EPS).mean()
