"""DINO's loss on CLS: each view's student answers as the teacher does for another view of the same slice."""

import torch
from torch import Tensor


def cross_entropy(scores: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """(..., ) of (..., K) scores against targets that sum to 1, without the log-probabilities in memory."""
    scores = scores.float() / temperature
    return torch.logsumexp(scores, dim=-1) - (targets * scores).sum(dim=-1)


def dino_loss(global_scores: Tensor, local_scores: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """Mean over all pairs of a student's view and a teacher's other view, as DINOv2 weighs them.

    global_scores : (2, B, K) of the student
    local_scores : (n, B, K) of the student; n may be 0
    targets : (2, B, K) of the teacher
    """
    crossed = cross_entropy(global_scores, targets.flip(0), temperature=temperature).mean(dim=1).sum()
    num_local = len(local_scores)
    if num_local == 0:
        return crossed / 2
    # Both teachers ask the same local view, and cross-entropy is linear in the target.
    local = 2 * cross_entropy(local_scores, targets.mean(dim=0), temperature=temperature).mean(dim=1).sum()
    return (crossed + local) / (2 + 2 * num_local)
