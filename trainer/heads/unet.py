"""The U-Net of `operators.heads.unet` while it is fitted: batch norm after each convolution, folded in at the end."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from operators.heads.linear import Linear
from operators.heads.unet import BELOW, UNet, down_and_up
from trainer.heads.folding import begin, folded, plain, standardised


class UNetInTraining(nn.Module):
    """Its weights, of standardised tokens.

    hidden : channels that the tokens are narrowed to; the finest grid has half as many, each coarser one a quarter more
    """

    def __init__(self, width: int, num_classes: int, *, levels: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        channels = [max(1, hidden * (2 + halvings) // 4) for halvings in range(levels + 1 + BELOW)]
        came = [1, *channels[:-1]]
        came[levels] += hidden
        self.narrow = _Convolution(width, hidden, size=1)
        self.first = nn.ModuleList(_Convolution(*pair) for pair in zip(came, channels, strict=True))
        self.second = nn.ModuleList(_Convolution(here, here) for here in channels)
        pairs = zip(channels[:-1], channels[1:], strict=True)
        self.up = nn.ModuleList(_Convolution(here + below, here) for here, below in pairs)
        self.classes = nn.Conv2d(channels[0], num_classes, 1)
        convolutions = [part for part in self.modules() if isinstance(part, nn.Conv2d)]
        begin(convolutions, generator)
        for convolution in convolutions:  # a step on a CPU takes two thirds of the time
            convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, tokens: Tensor, images: Tensor) -> Tensor:
        """As `UNet` answers, but normed by the batch while in training."""
        rows = round(tokens.shape[1] ** 0.5)
        narrowed = self.narrow(tokens.mT.reshape(len(tokens), -1, rows, rows))
        down = list(zip(self.first, self.second, strict=True))
        evidence: Tensor = self.classes(down_and_up(images, narrowed, down, list(self.up)))
        return evidence

    def finished(self, mean: Tensor, scale: Tensor) -> UNet:
        """The U-Net for tokens as the encoder gives them, normed by what was met in training."""
        narrow, classes = self.narrow.linear(), Linear(self.classes.weight, self.classes.bias)
        return UNet(
            plain(standardised(_flat(narrow), mean, scale)),
            tuple(
                (plain(first.linear()), plain(second.linear()))  # type: ignore[operator]
                for first, second in zip(self.first, self.second, strict=True)
            ),
            tuple(plain(part.linear()) for part in self.up),  # type: ignore[operator]
            plain(_flat(classes)),
        )


class _Convolution(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, came: int, channels: int, *, size: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(came, channels, size, padding=size // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.relu(self.norm(self.layer(hidden)))

    def linear(self) -> Linear:
        """Without the ReLU, as it is after training."""
        return folded(self.layer, self.norm)


def _flat(linear: Linear) -> Linear:
    """A convolution of single cells as a map."""
    return Linear(linear.weight.flatten(1), linear.bias)
