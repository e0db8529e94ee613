"""A small convolutional decoder of the patch tokens, with the image beside them.

Tokens are narrowed to H channels; then each level doubles the grid, puts the image, averaged to that grid, beside the
channels and takes a 3 x 3 convolution of both; a last linear map gives each class's evidence against background, which
has 0. Where tokens say what is there, the image says where exactly it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d, interpolate, relu

from operators.heads.linear import Linear, Shapes, Tensors, named


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """The decoder's weights.

    narrow : (D) to (H)
    levels : weight (H, H + 1, 3, 3), the image's channel last
    classes : (H) to (C)
    """

    narrow: Linear
    levels: tuple[Linear, ...]
    classes: Linear

    @property
    def tensors(self) -> Tensors:
        """The decoder's tensors, as they are called in a head's file."""
        parts = {"narrow": self.narrow, "classes": self.classes}
        parts |= {f"level{number}": level for number, level in enumerate(self.levels, start=1)}
        return named(parts)

    def on(self, device: str) -> "Decoder":
        """The same decoder on *device*."""
        return Decoder(
            self.narrow.on(device), tuple(level.on(device) for level in self.levels), self.classes.on(device)
        )

    def __call__(self, tokens: Tensor, images: Tensor) -> Tensor:
        """(n, N, D) tokens of a square grid and (n, 1, P, P) images to (n, C, rows 2^L, columns 2^L)."""
        rows = round(tokens.shape[1] ** 0.5)
        hidden = relu(self.narrow(tokens)).transpose(1, 2).reshape(len(tokens), -1, rows, rows)
        for level in self.levels:
            hidden = interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=False)
            beside = adaptive_avg_pool2d(images, hidden.shape[-1])
            hidden = relu(conv2d(torch.cat([hidden, beside], dim=1), level.weight, level.bias, padding=1))
        return self.classes(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def decoder_shapes(length: Callable[[str], int], *, width: int, levels: int, num_classes: int) -> Shapes:
    """The shape of each tensor in a head's file.

    length : first length of the tensor of a name
    """
    hidden = length("narrow.bias")
    shapes: dict[str, tuple[int, ...]] = {
        "narrow.weight": (hidden, width),
        "narrow.bias": (hidden,),
        "classes.weight": (num_classes, hidden),
        "classes.bias": (num_classes,),
    }
    names = [f"level{number}" for number in range(1, levels + 1)]
    shapes |= {f"{name}.weight": (hidden, hidden + 1, 3, 3) for name in names}
    return shapes | {f"{name}.bias": (hidden,) for name in names}


def decoder_of(tensors: Tensors, levels: int) -> Decoder:
    """The decoder of tensors that are called as in a head's file."""

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    return Decoder(
        linear("narrow"), tuple(linear(f"level{number}") for number in range(1, levels + 1)), linear("classes")
    )
