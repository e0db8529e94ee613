"""The frozen network whose features are distilled: EfficientNet-Lite0 (Tan and Le 2019), trained on ImageNet.

Photographs taught it edges, textures and shapes, which grey images of the body have too. It sees three windows of a
crop where the values are HU, and the crop's own grey levels three times over where they are not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from operators.encoder.torchvision_schemas import define_missing_schemas

ARCHITECTURE = "tf_efficientnet_lite0"
TOKEN_WIDTH = 4 * 40 + 112 + 320
"""Channels of a token of 16 x 16 pixels: the four cells of stride 8, its own of stride 16, its part of stride 32."""
WHOLE_WIDTH = 1280
OPERATIONS_PER_PIXEL = 15_302.4375
"""Multiplications and additions of its convolutions in a forward pass."""
_STAGES = (2, 4, 6)
"""Those of the network's blocks whose outputs have strides of 8, 16 and 32 pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class GuideFeatures:
    """What the network says of n images.

    tokens : (n, N, TOKEN_WIDTH)
    whole : (n, WHOLE_WIDTH), the mean over the image before the classifier
    """

    tokens: Tensor
    whole: Tensor


class Guide:
    """The frozen network on a device."""

    def __init__(self, weights: Path, device: torch.device) -> None:
        """
        Raises
        ------
        ValueError
            There is no such file, or it does not hold this network.
        """
        define_missing_schemas()
        # timm takes seconds to import, and hardly any run distils.
        import timm

        if not weights.is_file():
            raise ValueError(
                f"guide.weights: expected a safetensors file of timm's {ARCHITECTURE}, there is no {weights}"
            )
        network: Any = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
        state = {name: tensor.float() for name, tensor in load_file(weights).items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"guide.weights: {weights} does not hold timm's {ARCHITECTURE}: {error}") from error
        # Depthwise convolutions take a third less time with the channels side by side.
        self._network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> GuideFeatures:
        """The features of (n, 3, S, S) images with values from -1 to 1, S a multiple of 32."""
        network: Any = self._network
        hidden, stages = network.bn1(network.conv_stem(images.contiguous(memory_format=torch.channels_last))), []
        for number, block in enumerate(network.blocks):
            hidden = block(hidden)
            if number in _STAGES:
                stages.append(hidden)
        fine, middle, coarse = stages
        coarse = functional.interpolate(coarse, middle.shape[-2:], mode="bilinear", align_corners=False)
        tokens = torch.cat([functional.pixel_unshuffle(fine, 2), middle, coarse], dim=1)
        whole = network.bn2(network.conv_head(hidden)).mean(dim=(2, 3))
        return GuideFeatures(tokens.flatten(2).mT, whole)


def open_guide(weights: str | None, device: torch.device) -> Guide | None:
    """None where no weights are named."""
    return None if weights is None else Guide(Path(weights), device)
