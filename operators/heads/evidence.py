"""Evidence on the grid of tokens or of cells within them, brought to the source's own grid."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from operators.domain.features import FeatureVolume
from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.heads.linear import Linear
from operators.imaging.resampling import resample

FULL = 255
"""Probabilities of voxels are kept in steps of 1/255, one byte each."""
SLAB = 8
"""Source slices at a time: bounds the memory, whatever the length of the series."""


class CellEvidence:
    """The evidence of each class on the grid of cells, *subdivision* along each side of a patch, as it comes in.

    tokens : the grid of tokens
    """

    def __init__(self, tokens: Geometry, *, num_classes: int, subdivision: int = 1) -> None:
        slices, rows, columns = tokens.shape
        self._subdivision = subdivision
        self._grid = (rows, columns)
        self._geometry = tokens.rescaled((slices, rows * subdivision, columns * subdivision))
        self._per_class = np.empty((num_classes, *self._geometry.shape), np.float32)

    def put(self, place: slice, outputs: Any) -> None:
        """Fill in the cells of a few slices from a head's outputs, token by token.

        outputs : (n, N, C) with C over class, cell row and cell column within the patch
        """
        outputs = outputs.cpu().numpy() if isinstance(outputs, torch.Tensor) else outputs
        cells = outputs.reshape(len(outputs), *self._grid, -1, self._subdivision, self._subdivision)
        _, _, height, width = self._per_class.shape
        self._per_class[:, place] = cells.transpose(3, 0, 1, 4, 2, 5).reshape(-1, len(outputs), height, width)

    def put_image(self, place: slice, evidence: NDArray[np.float32]) -> None:
        """Fill in the cells of a few slices as an image.

        evidence : (n, classes, rows, columns) of cells
        """
        self._per_class[:, place] = evidence.transpose(1, 0, 2, 3)

    def volumes(self) -> tuple[Volume, ...]:
        """One for each class."""
        return tuple(Volume(evidence, self._geometry) for evidence in self._per_class)


def cell_evidence(features: FeatureVolume, linear: Linear, subdivision: int) -> tuple[Volume, ...]:
    """What a linear map of the tokens says about each class, on the grid of cells (see `CellEvidence`)."""
    cells = CellEvidence(features.geometry, num_classes=len(linear.bias) // subdivision**2, subdivision=subdivision)
    for place, tokens in features.token_blocks():
        cells.put(place, linear(tokens))
    return cells.volumes()


def strongest_class(evidence: tuple[Volume, ...], source: Geometry) -> NDArray[np.uint8]:
    """(D, H, W): the class of the largest evidence above 0, counted from 1; 0 where none is.

    Evidence is interpolated, not labels, so that boundaries are not stuck to the patches.
    """
    labels = np.zeros(source.shape, np.uint8)
    for place, slab in slabs(source):
        strongest = np.zeros(slab.shape, np.float32)
        for number, volume in enumerate(evidence, start=1):
            _raise_to(strongest, labels[place], resample(volume, slab, order=1).array, number)
    return labels


def class_probabilities(evidence: tuple[Volume, ...], source: Geometry) -> NDArray[np.uint8]:
    """(classes, D, H, W) in steps of 1/255: softmax of the interpolated evidence, with 0 for background."""
    probabilities = np.empty((len(evidence), *source.shape), np.uint8)
    for place, slab in slabs(source):
        scores = np.stack([np.zeros(slab.shape), *(resample(volume, slab, order=1).array for volume in evidence)])
        probabilities[:, place] = np.rint(FULL * softmax(scores, axis=0)[1:])
    return probabilities


def probability(log_odds: Volume, source: Geometry) -> NDArray[np.uint8]:
    """(D, H, W) in steps of 1/255: of the interpolated log odds."""
    probabilities = np.empty(source.shape, np.uint8)
    for place, slab in slabs(source):
        probabilities[place] = np.rint(FULL * expit(resample(log_odds, slab, order=1).array))
    return probabilities


def above(evidence: Volume, threshold: float, source: Geometry) -> NDArray[np.bool_]:
    """(D, H, W): where the interpolated evidence lies above *threshold*."""
    mask = np.zeros(source.shape, np.bool_)
    for place, slab in slabs(source):
        mask[place] = resample(evidence, slab, order=1).array > threshold
    return mask


def slabs(geometry: Geometry) -> Iterator[tuple[slice, Geometry]]:
    """The grid in blocks of a few slices, each with its place along the slice axis."""
    for start in range(0, geometry.shape[0], SLAB):
        stop = min(start + SLAB, geometry.shape[0])
        yield slice(start, stop), geometry.cropped((start, 0, 0), (stop, *geometry.shape[1:]))


def _raise_to(strongest: NDArray[np.float32], labels: NDArray[np.uint8], evidence: Any, number: int) -> None:
    stronger = evidence > strongest
    strongest[stronger] = evidence[stronger]
    labels[stronger] = number
