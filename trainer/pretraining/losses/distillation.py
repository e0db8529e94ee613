"""Answering as a frozen network does: what a training on a few hundred people cannot find by itself is shown to it.

Every channel of the frozen network's features is standardised over the batch, so that none counts for its scale alone
(Ranzinger et al. 2024, AM-RADIO), and compared by a Huber loss.
"""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.pretraining.collectives import sum_over_ranks

EPS = 1e-3
"""Least standard deviation; a channel that hardly changes asks for nothing."""

LIMIT = 5.0
"""Standard deviations at which a feature is cut off."""


def distillation_loss(answers: Tensor, features: Tensor) -> Tensor:
    """Mean Huber distance (its knee at 1) of (n, C) answers to (n, C) features as `standardised` gives them."""
    return functional.smooth_l1_loss(answers.float(), standardised(features))


@torch.no_grad()
def standardised(features: Tensor) -> Tensor:
    """(n, C) with mean 0 and standard deviation 1 of each channel over all ranks' rows, cut off at `LIMIT`."""
    rows = features.float()
    count = sum_over_ranks(torch.tensor(float(len(rows)), device=rows.device))
    mean = sum_over_ranks(rows.sum(dim=0)) / count
    centred = rows - mean
    deviation = (sum_over_ranks(centred.square().sum(dim=0)) / count).sqrt()
    return (centred / deviation.clamp(min=EPS)).clamp(-LIMIT, LIMIT)
