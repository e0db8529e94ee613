"""The decoders of tokens and image, by the kind that a head's record names."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from operators.errors import CheckpointError
from operators.heads.decoder import decoder_of, decoder_shapes
from operators.heads.ensemble import Ensemble, Member, prefixes
from operators.heads.head import FeatureBlock, HeadFolder, HeadRecord
from operators.heads.linear import Shapes, Tensors, first_length, read_weights
from operators.heads.unet import unet_of, unet_shapes

DecoderKind = Literal["decoder", "unet"]
PixelDecoder = Member | Ensemble

_SHAPES: dict[DecoderKind, Callable[..., Shapes]] = {"decoder": decoder_shapes, "unet": unet_shapes}
_OF_TENSORS: dict[DecoderKind, Callable[[Tensors, int], Member]] = {"decoder": decoder_of, "unet": unet_of}


class PixelDecoderRecord(HeadRecord):
    """What head.toml says of a decoder.

    levels : times that the grid of tokens is doubled
    members : decoders whose log odds are averaged
    """

    kind: DecoderKind
    levels: int = Field(ge=1, le=3)
    members: int = Field(1, ge=1, le=16)


def read_pixel_decoder(folder: HeadFolder, record: PixelDecoderRecord, *, num_classes: int) -> PixelDecoder:
    """The decoder of a head folder, or its ensemble.

    Raises
    ------
    CheckpointError
        A tensor is missing, unexpected or of another shape, or the levels are too many for a patch.
    """
    kind, levels = record.kind, record.levels
    if 2**levels > folder.snapshot.config.patch_size:
        raise CheckpointError(
            f"{folder.path.name}/head.toml: levels: {levels} doublings make more than the "
            f"{folder.snapshot.config.patch_size} pixels along a patch"
        )
    shapes: dict[str, tuple[int, ...]] = {}
    for prefix in prefixes(record.members):
        length = partial(_length, folder, prefix)
        of_member = _SHAPES[kind](length, width=folder.width, levels=levels, num_classes=num_classes)
        shapes |= {prefix + name: shape for name, shape in of_member.items()}
    tensors = read_weights(folder.path, shapes)
    decoders = [pixel_decoder_of(_without(tensors, prefix), kind, levels) for prefix in prefixes(record.members)]
    return decoders[0] if record.members == 1 else Ensemble(tuple(decoders))


def pixel_decoder_of(tensors: Tensors, kind: DecoderKind, levels: int) -> Member:
    """The decoder of tensors that are called as in a head's file."""
    return _OF_TENSORS[kind](tensors, levels)


def block_evidence(decoder: PixelDecoder, block: FeatureBlock) -> NDArray[np.float32]:
    """(n, C, rows 2^L, columns 2^L) of a block of slices."""
    assert block.tokens is not None, "the head needs them"
    assert block.images is not None, "the head needs them"
    evidence: NDArray[np.float32] = decoder(block.tokens, block.images).cpu().numpy()
    return evidence


def _length(folder: HeadFolder, prefix: str, name: str) -> int:
    return first_length(folder.path, prefix + name)


def _without(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
