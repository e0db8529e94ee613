"""From masks on a scan's grid to targets on the grid of tokens."""

import numpy as np
from numpy.typing import NDArray

from operators.domain.geometry import Geometry
from operators.domain.volume import Volume
from operators.imaging.resampling import resample


def cell_labels(labels: Volume, tokens: Geometry, subdivision: int) -> NDArray[np.uint8]:
    """(S, N, subdivision ** 2): the label at the centre of each cell of each token, row by row.

    tokens : grid of the token centres
    """
    slices, rows, columns = tokens.shape
    grid = tokens.rescaled((slices, rows * subdivision, columns * subdivision))
    sampled = resample(labels.astype(np.float32), grid, order=0).array.astype(np.uint8)
    cells = sampled.reshape(slices, rows, subdivision, columns, subdivision).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(cells.reshape(slices, rows * columns, subdivision**2))


def token_fraction(mask: Volume, tokens: Geometry) -> NDArray[np.float32]:
    """(S, N): which part of each token the mask covers, from 16 samples."""
    return np.asarray(cell_labels(mask, tokens, 4).mean(axis=2), np.float32)
