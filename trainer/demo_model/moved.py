"""The same slices turned, zoomed, shifted, mirrored and in another contrast: a decoder sees more than a few people.

The encoder stays frozen: what is moved is encoded anew.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from operators.domain.volume import Volume
from trainer.features.scans import Scan
from trainer.pretraining.augmentations.gamma import apply_gamma

MOST_DEGREES = 20.0
MOST_LOG_ZOOM = 0.25
MOST_SHIFT = 0.08
"""Of a side."""
MOST_LOG_GAMMA = 0.35
"""Of MR, whose contrast no unit fixes; CT in HU keeps its values."""


def moved(scan: Scan, *, times: int, seed: int) -> Iterator[Scan]:
    """The scan that often, all its slices moved alike; its regions stay, its mass moves along."""
    for draw in range(times):
        rng = np.random.default_rng([seed, draw, *scan.name.encode(), *scan.patient.encode()])
        yield _moved(scan, rng)


def _moved(scan: Scan, rng: np.random.Generator) -> Scan:
    assert scan.mass is not None, "its outline is what is moved along"
    pixels = np.asarray(scan.volume.array, np.float32)
    turn = np.deg2rad(rng.uniform(-MOST_DEGREES, MOST_DEGREES))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.exp(rng.uniform(-MOST_LOG_ZOOM, MOST_LOG_ZOOM)) * rotation @ np.diag([1.0, rng.choice([-1.0, 1.0])])
    size = np.array(pixels.shape[1:])
    middle = (size - 1) / 2
    offset = middle - matrix @ middle + rng.uniform(-MOST_SHIFT, MOST_SHIFT, 2) * size

    def move(slices: NDArray[Any], fill: float) -> NDArray[np.float32]:
        return np.stack([affine_transform(one, matrix, offset, order=1, cval=fill) for one in slices])

    image = move(pixels, float(pixels.min()))
    if scan.modality == "MR":
        exponent = torch.tensor([rng.uniform(-MOST_LOG_GAMMA, MOST_LOG_GAMMA)], dtype=torch.float32).exp()
        image = apply_gamma(torch.from_numpy(image)[None], exponent)[0].numpy()
    mass = move(np.asarray(scan.mass.array, np.float32), 0.0) > 0.5
    geometry = scan.volume.geometry
    return replace(scan, volume=Volume(image.astype(np.float32), geometry), mass=Volume(mass, geometry))
