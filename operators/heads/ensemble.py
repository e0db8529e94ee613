"""Several decoders whose log odds are averaged, as in nnU-Net (Isensee et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from operators.heads.decoder import Decoder
from operators.heads.linear import Tensors
from operators.heads.unet import UNet

Member = Decoder | UNet


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Decoders of one kind and one grid, fitted on different people."""

    members: tuple[Member, ...]

    @property
    def tensors(self) -> Tensors:
        """The members' tensors, as they are called in a head's file."""
        prefixed = zip(prefixes(len(self.members)), self.members, strict=True)
        return {prefix + name: tensor for prefix, member in prefixed for name, tensor in member.tensors.items()}

    def on(self, device: str) -> "Ensemble":
        """The same on *device*."""
        return Ensemble(tuple(member.on(device) for member in self.members))

    def __call__(self, tokens: Tensor, images: Tensor) -> Tensor:
        """As each member answers: (n, N, D) tokens and (n, 1, P, P) images to (n, C, rows 2^L, columns 2^L)."""
        return torch.stack([member(tokens, images) for member in self.members]).mean(dim=0)


def prefixes(members: int) -> Sequence[str]:
    """What the names of each member's tensors begin with in a head's file: nothing where there is only one."""
    return [""] if members == 1 else [f"member{number}." for number in range(1, members + 1)]
