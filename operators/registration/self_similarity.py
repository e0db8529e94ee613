"""MIND-SSC: what a place looks like beside its own surroundings, alike in CT and MR (Heinrich et al., 2013)."""

import itertools

import torch
from torch import Tensor

from operators.registration.lattice import binomial_mean, box_mean

NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple(
    (first, second)
    for first, second in itertools.combinations(NEIGHBOURS, 2)
    if sum(a * b for a, b in zip(first, second, strict=True)) == 0
)
"""The twelve pairs of neighbours that are neighbours' neighbours of one another: 1.41 steps apart."""


def self_similarity(image: Tensor, *, distance: int = 2, radius: int = 1, floor: float = 0.05) -> Tensor:
    """(D, H, W) to (12, D, H, W) in 0..1.

    distance : of the neighbours that are compared, in voxels
    radius : of the patches around them
    floor : share of the mean local variance that counts as noise, so that even regions show no structure
    """
    image = binomial_mean(image[None])[0]
    padded = _padded(image, distance)
    # One channel after the other: twelve at once would not stay in the processor's cache.
    distances = image.new_empty(len(PAIRS), *image.shape)
    for channel, (first, second) in enumerate(PAIRS):
        apart = _shifted(padded, first, distance, image) - _shifted(padded, second, distance, image)
        distances[channel] = box_mean(apart.square_()[None], radius)[0]
    distances -= distances.amin(dim=0)
    variance = distances.mean(dim=0)
    return distances.div_(variance.clamp(min=float(variance.mean()) * floor + 1e-12)).neg_().exp_()


def _padded(image: Tensor, distance: int) -> Tensor:
    for axis in range(3):
        size = image.shape[axis]
        if size > 1:
            first, last = image.narrow(axis, 0, 1), image.narrow(axis, size - 1, 1)
            image = torch.cat([*[first] * distance, image, *[last] * distance], dim=axis)
    return image


def _shifted(padded: Tensor, offset: tuple[int, int, int], distance: int, image: Tensor) -> Tensor:
    for axis in range(3):
        if image.shape[axis] > 1:
            padded = padded.narrow(axis, distance * (1 + offset[axis]), image.shape[axis])
    return padded
