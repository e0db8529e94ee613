"""The two decoders of tokens and image, by the kind that a head's record names."""

from typing import Literal

from operators.errors import CheckpointError
from operators.heads.decoder import Decoder, decoder_of, read_decoder
from operators.heads.head import HeadFolder
from operators.heads.linear import Tensors
from operators.heads.unet import UNet, read_unet, unet_of

DecoderKind = Literal["decoder", "unet"]
PixelDecoder = Decoder | UNet

MOST_LEVELS = 3


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
    read = read_unet if kind == "unet" else read_decoder
    return read(folder, levels=levels, num_classes=num_classes)


def pixel_decoder_of(tensors: Tensors, kind: DecoderKind, levels: int) -> PixelDecoder:
    """The decoder of tensors that are called as in a head's file."""
    return unet_of(tensors, levels) if kind == "unet" else decoder_of(tensors, levels)
