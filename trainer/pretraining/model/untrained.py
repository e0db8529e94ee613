"""What an encoder that never learned tells of a crop, and the student's maps to it.

Random features keep much of an image linearly readable (`trainer.features.random_features`). A short training on little
data finds new features at their cost, unless it is asked to keep them.
"""

import torch
from torch import Tensor, nn

from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.losses.distillation import distillation_loss
from trainer.pretraining.model.masked_encoder import MaskedEncoder
from trainer.pretraining.model.position_table import hand_over


def open_untrained(config: PretrainingConfig, device: torch.device) -> MaskedEncoder | None:
    """Random features of the student's architecture, frozen, drawn by the run's seed; None where nothing is kept.

    In every stage the encoder that was drawn for the first: for another grid the same seed draws another encoder.
    """
    if not config.losses.retention:
        return None
    encoder = MaskedEncoder(config.encoder_config, drop_path=0.0, checkpointing=False)
    first = config.at_stage(config.stages[0]).encoder_config
    drawn = random_state(first, RandomEncoderSettings(seed=config.run.seed))
    encoder.vit.load_state_dict(hand_over(drawn, config.encoder_config.grid_size))
    return encoder.requires_grad_(False).to(device)


class RetentionMaps(nn.Module):
    """One linear map for patches and one for CLS."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.of_patches = nn.Linear(embed_dim, embed_dim)
        self.of_cls = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens: Tensor, kept: Tensor, masks: Tensor) -> Tensor:
        """The loss: CLS and the seen patches answer as the untrained encoder does.

        tokens, kept : (n, 1 + N, D) of the student and of the untrained encoder
        masks : (n, N) bool
        """
        seen = ~masks
        of_patches = distillation_loss(self.of_patches(tokens[:, 1:][seen]), kept[:, 1:][seen])
        return of_patches + distillation_loss(self.of_cls(tokens[:, 0]), kept[:, 0])
