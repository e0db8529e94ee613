"""Comparators of an encoder: what is in each patch's pixels without any network, and where the patch lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import EncoderInput, FeatureVolume
from trainer.features.slice_encoder import SliceEncoder

PERCENTILES = (0, 10, 25, 50, 75, 90, 100)
BLOCK = 16
"""Slices at a time."""


@dataclass(frozen=True, slots=True)
class PixelStatistics:
    """Stands in an encoder's place, on the same grid of tokens; CLS is the mean of the tokens."""

    patch_size: int

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume:
        blocks = [patch_statistics(block[:, 0], self.patch_size) for block in encoder_input.blocks(0, BLOCK)]
        tokens = np.concatenate(blocks)
        side = encoder_input.settings.image_size // self.patch_size
        grid = encoder_input.geometry.rescaled((len(tokens), side, side))
        return FeatureVolume(tokens.mean(axis=1), tokens, grid)


@dataclass(frozen=True, slots=True)
class PatchPlace:
    """Tells of each patch only where in the image it lies."""

    patch_size: int

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume:
        side = encoder_input.settings.image_size // self.patch_size
        tokens = np.tile(places(side, side), (len(encoder_input), 1, 1))
        grid = encoder_input.geometry.rescaled((len(tokens), side, side))
        return FeatureVolume(tokens.mean(axis=1), tokens, grid)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The features of two, on one grid."""

    first: SliceEncoder
    second: SliceEncoder

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume:
        first, second = self.first.encode(encoder_input), self.second.encode(encoder_input)
        cls = np.concatenate([first.cls, second.cls], axis=1)
        return FeatureVolume(cls, np.concatenate([first.tokens, second.tokens], axis=2), first.geometry)


def patch_statistics(slices: NDArray[np.float32], patch_size: int) -> NDArray[np.float32]:
    """(S, P, P) to (S, N, 9): mean, standard deviation and `PERCENTILES` of the pixels of each patch, row by row."""
    count, size, _ = slices.shape
    side = size // patch_size
    patches = slices.reshape(count, side, patch_size, side, patch_size).transpose(0, 1, 3, 2, 4)
    pixels = patches.reshape(count, side * side, patch_size**2)
    ordered = np.sort(pixels, axis=2)
    ranks = np.rint(np.array(PERCENTILES) / 100 * (patch_size**2 - 1)).astype(int)
    summary = np.stack([pixels.mean(axis=2), pixels.std(axis=2)], axis=2)
    return np.concatenate([summary, ordered[..., ranks]], axis=2)


def places(rows: int, columns: int) -> NDArray[np.float32]:
    """(N, 5): row, column, their squares and product, -1 to 1 across the image; enough to say "in the middle"."""
    row, column = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    table = np.stack([row, column, row**2, column**2, row * column], axis=2)
    return table.reshape(rows * columns, 5).astype(np.float32)
