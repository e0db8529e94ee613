"""Sinkhorn-Knopp centring of the teacher (Caron et al. 2020, SwAV; in DINOv2 in place of a running centre)."""

import torch
from torch import Tensor

from trainer.pretraining.collectives import sum_over_ranks


@torch.no_grad()
def sinkhorn_knopp(scores: Tensor, *, temperature: float, iterations: int) -> Tensor:
    """Assignments that use every prototype about equally, over the rows of all ranks.

    scores : (n, K) cosines, so that no exponential leaves float32 at a temperature of 0.02 or more; n may differ
        between ranks and be 0

    Returns
    -------
    (n, K) float32, each row sums to 1.
    """
    assignments = torch.exp(scores.float() / temperature)
    for _ in range(iterations):
        # The usual totals of 1/K a prototype and 1/n a row cancel between the two steps, and are left out.
        # The least total keeps a prototype that no row is near from giving 0/0.
        per_prototype = sum_over_ranks(assignments.sum(dim=0)).clamp(min=torch.finfo(torch.float32).tiny)
        assignments = assignments / per_prototype
        assignments = assignments / assignments.sum(dim=1, keepdim=True)
    return assignments
