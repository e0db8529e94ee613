"""iBOT's loss on patches: where the student sees the mask token it answers as the teacher, who sees the patch."""

from torch import Tensor

from trainer.pretraining.losses.dino import cross_entropy


def ibot_loss(scores: Tensor, targets: Tensor, weights: Tensor, *, num_crops: int, temperature: float) -> Tensor:
    """Mean within each masked crop, then over all crops, those without a mask counting as 0 (DINOv2).

    scores, targets : (M, K) at the masked tokens
    weights : (M,) one over the number of masked tokens in the same crop
    """
    return (cross_entropy(scores, targets, temperature=temperature) * weights).sum() / num_crops
