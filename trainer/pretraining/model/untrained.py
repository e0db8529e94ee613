"""What an encoder that never learned tells of a crop, and how the student keeps it.

Random features keep much of an image linearly readable (`trainer.features.random_features`). A short training on little
data finds new features at their cost, unless it is asked to keep them.
"""

import torch
from torch import Tensor, nn

from trainer.pretraining.collectives import num_ranks, sum_over_ranks
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.losses.distillation import EPS, distillation_loss
from trainer.pretraining.losses.retention import retention_loss
from trainer.pretraining.model.masked_encoder import MaskedEncoder, start_weights

IMAGE_WEIGHT = 3.0
"""Of CLS and the mean against the patches."""


def open_untrained(config: PretrainingConfig, device: torch.device) -> MaskedEncoder | None:
    """The encoder that the run began with, frozen; None where nothing is kept.

    In every stage the encoder that was drawn for the first: for another grid the same seed draws another encoder.
    """
    if not config.losses.retention:
        return None
    encoder = MaskedEncoder(config.encoder_config, drop_path=0.0, checkpointing=False)
    first_size = config.at_stage(config.stages[0]).crops.global_size
    start = start_weights(config.encoder_config, config.model.initial, seed=config.run.seed, first_size=first_size)
    encoder.vit.load_state_dict(start)
    return encoder.requires_grad_(False).to(device)


class Retention(nn.Module):
    """How far the student is from the encoder that it began as.

    Patches may change as long as a linear map of them answers as the untrained encoder's do. CLS and the mean of the
    patches, which speak for the whole image, stay what they are; only crops without a mask are asked for these.

    covariance : (2D, 2D) of CLS and the mean, one after the other, over the batches met so far, `batches` of them
    """

    covariance: Tensor
    batches: Tensor

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.of_patches = nn.Linear(embed_dim, embed_dim)
        nn.init.eye_(self.of_patches.weight)
        nn.init.zeros_(self.of_patches.bias)
        self.register_buffer("covariance", torch.zeros(2 * embed_dim, 2 * embed_dim))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, tokens: Tensor, kept: Tensor, masks: Tensor) -> Tensor:
        """The loss.

        tokens, kept : (n, 1 + N, D) of the student and of the untrained encoder
        masks : (n, N) bool
        """
        seen = ~masks
        patches = _normed(tokens[:, 1:][seen])
        there, here = _of_image(kept), _of_image(tokens)
        self._meet(there)
        apart = retention_loss(here - there, self.covariance, seen.all(dim=1))
        return distillation_loss(self.of_patches(patches), kept[:, 1:][seen]) + IMAGE_WEIGHT * apart

    @torch.no_grad()
    def _meet(self, features: Tensor) -> None:
        """Take the batch, of all ranks, into the mean of the batches' covariances."""
        centred = features - sum_over_ranks(features.mean(dim=0)) / num_ranks()
        # A product that is rounded to bfloat16 may be no covariance any more.
        with torch.autocast(features.device.type, enabled=False):
            product = centred.mT @ centred
        found = sum_over_ranks(product / len(centred)) / num_ranks()
        self.batches += 1
        self.covariance += (found - self.covariance) / self.batches


def _of_image(tokens: Tensor) -> Tensor:
    """(n, 2D): CLS, and the mean of the patches."""
    return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1).float()


def _normed(rows: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 of each channel, as `distillation_loss` has its targets."""
    centred = rows.float() - rows.float().mean(dim=0)
    return centred / centred.square().mean(dim=0).sqrt().clamp(min=EPS)
