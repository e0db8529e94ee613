"""The small decoder of `operators.heads.decoder` while it is fitted."""

import torch
from torch import Tensor, nn

from operators.heads.decoder import Decoder
from operators.heads.linear import Linear
from trainer.heads.folding import begin, plain, standardised


class DecoderInTraining(nn.Module):
    """Its weights, of standardised tokens."""

    def __init__(self, width: int, num_classes: int, *, levels: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, hidden)
        self.classes = nn.Linear(hidden, num_classes)
        self.levels = nn.ModuleList(nn.Conv2d(hidden + 1, hidden, 3) for _ in range(levels))
        begin([self.narrow, self.classes, *self.levels], generator)

    def forward(self, tokens: Tensor, images: Tensor) -> Tensor:
        """As `Decoder` answers."""
        return self._decoder()(tokens, images)

    def finished(self, mean: Tensor, scale: Tensor) -> Decoder:
        """The decoder for tokens as the encoder gives them."""
        decoder = self._decoder()
        narrow = standardised(decoder.narrow, mean, scale)
        return Decoder(plain(narrow), tuple(map(plain, decoder.levels)), plain(decoder.classes))

    def _decoder(self) -> Decoder:
        narrow, classes, *levels = (
            Linear(part.weight, part.bias) for part in (self.narrow, self.classes, *self.levels)
        )
        return Decoder(narrow, tuple(levels), classes)
