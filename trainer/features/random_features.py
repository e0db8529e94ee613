"""An encoder of seeded random features: Curia-2's architecture, nothing learned.

A stand-in until a trained encoder takes its place. Random convolutions and random mixing keep the image's content
linearly readable to a degree; the gains below were chosen among few by the heads' cross-validated figures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from operators.encoder.vision_transformer import EncoderConfig, build_vision_transformer


@dataclass(frozen=True, slots=True)
class RandomEncoderSettings:
    """seed and the standard deviations of the random parts.

    patch_gain : response of a patch to unit-variance pixels
    bias_gain : what every token has in common; against it, brightness survives the final norm
    position_gain : of the smooth position table
    position_cycles : fastest change along the image, in cycles
    block_gain : layer scale, how much each block adds
    smoothness : patch filters' spectra fall as 1 / (1 + smoothness * cycles per patch)
    attention_gain : of queries and keys, which are the same map: a token gathers from tokens like itself in content
        and place, more narrowly the larger the gain; the heads share out gains from a quarter of it to the whole
    """

    seed: int = 2
    patch_gain: float = 0.3
    bias_gain: float = 1.0
    position_gain: float = 0.6
    position_cycles: float = 1.5
    block_gain: float = 0.3
    smoothness: float = 1.0
    attention_gain: float = 2.0


def random_state(config: EncoderConfig, settings: RandomEncoderSettings) -> dict[str, Tensor]:
    """A whole state dict for *config*, a function of the settings alone."""
    rng = np.random.default_rng(settings.seed)
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in build_vision_transformer(config).state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        values = _values(name, shape, rng, settings)
        if name.endswith("attn.qkv.weight"):
            values = _tied(values, config, settings)
        state[name] = torch.from_numpy(values.astype(np.float32))
    state["patch_embed.proj.weight"] = torch.from_numpy(_filters(config, rng, settings))
    state["pos_embed"] = torch.from_numpy(_positions(config, rng, settings))
    return state


def _values(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, settings: RandomEncoderSettings
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if name == "patch_embed.proj.bias":
        return rng.normal(0.0, settings.bias_gain, shape)
    if name.endswith(".gamma"):
        return np.full(shape, settings.block_gain)
    if name.endswith("weight") and len(shape) == 1:
        return np.ones(shape)
    if name.endswith(".bias"):
        return np.zeros(shape)
    return rng.normal(0.0, shape[-1] ** -0.5, shape)


def _tied(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], config: EncoderConfig, settings: RandomEncoderSettings
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(3 D, D) with the queries' rows for the keys too."""
    query, _, value = np.split(values, 3)
    gains = settings.attention_gain * np.linspace(0.25, 1.0, config.num_attention_heads)
    query = query * np.repeat(gains, config.hidden_size // config.num_attention_heads)[:, None]
    return np.concatenate([query, query, value])


def _filters(
    config: EncoderConfig, rng: np.random.Generator, settings: RandomEncoderSettings
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(D, C, P, P) random filters, most of their energy in slow changes, as images have it."""
    size = config.patch_size
    noise = rng.normal(size=(config.hidden_size, config.num_channels, size, size))
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(size) * size, np.fft.fftfreq(size) * size))
    filters = np.fft.ifft2(np.fft.fft2(noise) / (1.0 + settings.smoothness * cycles)).real
    filters *= settings.patch_gain / np.linalg.norm(filters, axis=(2, 3), keepdims=True)
    return filters.astype(np.float32)


def _positions(
    config: EncoderConfig, rng: np.random.Generator, settings: RandomEncoderSettings
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(1, 1 + N, D) random waves over the token grid; neighbours get nearly the same."""
    rows, columns = np.divmod(np.arange(config.grid_size**2), config.grid_size)
    waves = rng.uniform(-settings.position_cycles, settings.position_cycles, (2, config.hidden_size))
    phases = rng.uniform(0.0, 2 * np.pi, config.hidden_size)
    angle = 2 * np.pi * (np.stack([rows, columns], axis=1) / config.grid_size) @ waves + phases
    table = np.concatenate([np.zeros((1, config.hidden_size)), np.sqrt(2.0) * np.cos(angle)])
    return (settings.position_gain * table[None]).astype(np.float32)
