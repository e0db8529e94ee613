"""The two decoders of tokens and image, by the kind that a head's record names."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from operators.errors import CheckpointError
from operators.heads.decoder import Decoder, decoder_of, read_decoder
from operators.heads.head import FeatureBlock, HeadFolder
from operators.heads.linear import Tensors
from operators.heads.unet import UNet, read_unet, unet_of

DecoderKind = Literal["decoder", "unet"]
PixelDecoder = Decoder | UNet

MOST_LEVELS = 3

_READ: dict[DecoderKind, Callable[..., PixelDecoder]] = {"decoder": read_decoder, "unet": read_unet}
_OF_TENSORS: dict[DecoderKind, Callable[[Tensors, int], PixelDecoder]] = {"decoder": decoder_of, "unet": unet_of}


def read_pixel_decoder(folder: HeadFolder, kind: DecoderKind, *, levels: int, num_classes: int) -> PixelDecoder:
    """The decoder of a head folder.

    Raises
    ------
    CheckpointError
        A tensor is missing, unexpected or of another shape, or the levels are too many for a patch.
    """
    if 2**levels > folder.snapshot.config.patch_size:
        raise CheckpointError(
            f"{folder.path.name}/head.toml: levels: {levels} doublings make more than the "
            f"{folder.snapshot.config.patch_size} pixels along a patch"
        )
    return _READ[kind](folder, levels=levels, num_classes=num_classes)


def pixel_decoder_of(tensors: Tensors, kind: DecoderKind, levels: int) -> PixelDecoder:
    """The decoder of tensors that are called as in a head's file."""
    return _OF_TENSORS[kind](tensors, levels)


def block_evidence(decoder: PixelDecoder, block: FeatureBlock) -> NDArray[np.float32]:
    """(n, C, rows 2^L, columns 2^L) of a block of slices."""
    assert block.tokens is not None, "the head needs them"
    assert block.images is not None, "the head needs them"
    evidence: NDArray[np.float32] = decoder(block.tokens, block.images).cpu().numpy()
    return evidence
