"""What tells whether student and teacher learn anything, where the losses alone do not.

A cross-entropy is the target's own entropy plus the divergence that the student can do something about. Targets as flat
as can be (their entropy the logarithm of the number of prototypes) ask for nothing: then the loss stands still
at that logarithm, and the divergence is near 0 because there is nothing to learn.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROWS = 256
"""At a time, so that no second array of the targets' size is needed."""


@torch.no_grad()
def entropies(targets: Tensor) -> Tensor:
    """(...,) nats of (..., K) targets that sum to 1."""
    rows = targets.flatten(0, -2)
    starts = range(0, len(rows), ROWS)
    parts = [torch.special.entr(rows[start : start + ROWS]).sum(dim=-1) for start in starts]
    return torch.cat(parts).view(targets.shape[:-1])


def flatness(entropy: Tensor, num_prototypes: int) -> Tensor:
    """How flat a mean entropy in nats is: 1 where every prototype is as likely as any other, 0 where one is certain."""
    return entropy / math.log(num_prototypes)


@torch.no_grad()
def mean_cosine(features: Tensor) -> Tensor:
    """Between different rows of (n, D), in the mean; 1 where all slices look the same to the encoder. n at least 2."""
    unit = functional.normalize(features.float(), dim=-1)
    count = len(unit)
    return (unit.sum(dim=0).square().sum() - count) / (count * (count - 1))
