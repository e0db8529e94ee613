"""Encoders of random weights in the published architecture, and inputs that need no volume."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.encoder.vision_transformer import EncoderConfig
from trainer.export.model_folder import write_snapshot
from trainer.features.random_features import RandomEncoderSettings, random_state

CURIA_2_B = EncoderConfig(
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    use_swiglu_ffn=True,
    patch_size=16,
    num_channels=1,
    image_size=512,
)
CURIA_2_L = CURIA_2_B.model_copy(update={"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16})
CURIA_2_G = CURIA_2_B.model_copy(update={"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24})
"""Read from the published B's config.json, and DINOv2's sizes for the other two, which are not published."""

TINY = EncoderConfig(
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=3,
    use_swiglu_ffn=True,
    patch_size=16,
    num_channels=1,
    image_size=64,
)


def write_random_snapshot(config: EncoderConfig, folder: Path) -> Path:
    """A snapshot folder as Raidium publishes it, but for its weights, which are random."""
    settings = EncoderInputSettings(image_size=config.image_size)
    write_snapshot(random_state(config, RandomEncoderSettings(seed=1)), config, settings, folder)
    return folder


def input_of(images: NDArray[np.float32], geometry: Geometry | None = None) -> EncoderInput:
    """(S, 1, P, P) images as they are."""

    def blocks(start: int, size: int) -> Iterator[NDArray[np.float32]]:
        return (images[at : at + size] for at in range(start, len(images), size))

    slices = images[:, 0]
    geometry = geometry or Geometry(np.eye(4), slices.shape)
    return EncoderInput(Volume(slices, geometry), EncoderInputSettings(image_size=images.shape[-1]), geometry, blocks)


def cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the vectors along the last axis."""
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.asarray((first * second).sum(axis=-1) / norms)


def random_input(size: int, *, slices: int, seed: int = 0) -> EncoderInput:
    return input_of(np.random.default_rng(seed).normal(size=(slices, 1, size, size)).astype(np.float32))
