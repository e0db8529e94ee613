"""A small U-Net over the image that meets the patch tokens at their own grid (after Ronneberger et al. 2015).

The image, averaged to 2^L cells along a token, goes down by halvings, two 3 x 3 convolutions at each grid. At the grid
of the tokens these come beside it, narrowed to H channels; `BELOW` more grids give a cell sight of most of the slice.
Then it goes up again, one convolution at each grid, of what came from below and what the way down left there. A last
linear map gives each class's evidence against background, which has 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, interpolate, relu

from operators.heads.linear import Linear, Shapes, Tensors, named

BELOW = 2
"""Grids coarser than that of the tokens."""

Layer = Callable[[Tensor], Tensor]
"""(n, C, rows, columns) to (n, C', rows, columns)."""


@dataclass(frozen=True, slots=True, eq=False)
class UNet:
    """The weights, from the finest grid to the coarsest.

    narrow : (D) to (H)
    down : two convolutions at each grid, C_k channels; at the tokens' grid the first also takes the H of the tokens
    up : at each grid but the coarsest, the convolution of C_(k+1) + C_k channels to C_k
    classes : (C_1) to (C)
    """

    narrow: Linear
    down: tuple[tuple[Linear, Linear], ...]
    up: tuple[Linear, ...]
    classes: Linear

    @property
    def tensors(self) -> Tensors:
        """The tensors, as they are called in a head's file."""
        parts = {"narrow": self.narrow, "classes": self.classes}
        for grid, (first, second) in enumerate(self.down, start=1):
            parts |= {f"down{grid}.first": first, f"down{grid}.second": second}
        return named(parts | {f"up{grid}": part for grid, part in enumerate(self.up, start=1)})

    def on(self, device: str) -> "UNet":
        """The same on *device*."""
        return UNet(
            self.narrow.on(device),
            tuple((first.on(device), second.on(device)) for first, second in self.down),
            tuple(part.on(device) for part in self.up),
            self.classes.on(device),
        )

    def __call__(self, tokens: Tensor, images: Tensor) -> Tensor:
        """(n, N, D) tokens of a square grid and (n, 1, P, P) images to (n, C, rows 2^L, columns 2^L)."""
        rows = round(tokens.shape[1] ** 0.5)
        narrowed = relu(self.narrow(tokens)).transpose(1, 2).reshape(len(tokens), -1, rows, rows)
        down = [(_layer(first), _layer(second)) for first, second in self.down]
        hidden = down_and_up(images, narrowed, down, [_layer(part) for part in self.up])
        return self.classes(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def down_and_up(images: Tensor, narrowed: Tensor, down: Sequence[tuple[Layer, Layer]], up: Sequence[Layer]) -> Tensor:
    """(n, 1, P, P) images and (n, H, rows, rows) tokens to (n, C_1, rows 2^L, rows 2^L), by layers as in `UNet`."""
    levels = len(down) - 1 - BELOW
    hidden = adaptive_avg_pool2d(images, narrowed.shape[-1] * 2**levels)
    left = []
    for halvings, (first, second) in enumerate(down):
        if halvings:
            hidden = avg_pool2d(hidden, 2, ceil_mode=True)
        if halvings == levels:
            hidden = torch.cat([hidden, narrowed], dim=1)
        hidden = second(first(hidden))
        left.append(hidden)
    hidden = left.pop()
    for layer in reversed(up):
        beside = left.pop()
        hidden = interpolate(hidden, size=beside.shape[2:], mode="bilinear", align_corners=False)
        hidden = layer(torch.cat([hidden, beside], dim=1))
    return hidden


def unet_shapes(length: Callable[[str], int], *, width: int, levels: int, num_classes: int) -> Shapes:
    """The shape of each tensor in a head's file.

    length : first length of the tensor of a name
    """
    grids = range(1, levels + BELOW + 2)
    hidden = length("narrow.bias")
    channels = [length(f"down{grid}.second.bias") for grid in grids]
    shapes: dict[str, tuple[int, ...]] = {
        "narrow.weight": (hidden, width),
        "narrow.bias": (hidden,),
        "classes.weight": (num_classes, channels[0]),
        "classes.bias": (num_classes,),
    }
    for grid, here in zip(grids, channels, strict=True):
        before = 1 if grid == 1 else channels[grid - 2]
        came = before + (hidden if grid == levels + 1 else 0)
        shapes |= {f"down{grid}.first.weight": (here, came, 3, 3), f"down{grid}.first.bias": (here,)}
        shapes |= {f"down{grid}.second.weight": (here, here, 3, 3), f"down{grid}.second.bias": (here,)}
    for grid, (here, below) in enumerate(zip(channels[:-1], channels[1:], strict=True), start=1):
        shapes |= {f"up{grid}.weight": (here, below + here, 3, 3), f"up{grid}.bias": (here,)}
    return shapes


def unet_of(tensors: Tensors, levels: int) -> UNet:
    """The U-Net of tensors that are called as in a head's file."""

    def linear(name: str) -> Linear:
        return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    grids = range(1, levels + BELOW + 2)
    return UNet(
        linear("narrow"),
        tuple((linear(f"down{grid}.first"), linear(f"down{grid}.second")) for grid in grids),
        tuple(linear(f"up{grid}") for grid in grids[:-1]),
        linear("classes"),
    )


def _layer(part: Linear) -> Layer:
    return partial(_convolved, part)


def _convolved(part: Linear, hidden: Tensor) -> Tensor:
    return relu(conv2d(hidden, part.weight, part.bias, padding=1))
