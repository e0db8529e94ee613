"""The outline of a mask, as a closed polygon along the edges of its pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.domain.components import largest_component

MAX_VERTICES = 2000
"""More are thinned: GraphicData is one FL element, whose explicit VR length ends at 64 KiB (8191 points)."""


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outer boundary of the largest 4-connected part of a (H, W) mask.

    Returns
    -------
    (N, 2) (column, row), first vertex repeated at the end, in the image coordinates of PS3.3 C.10.5.1.2: (0, 0) is
    the top left corner of the top left pixel, whose centre is (0.5, 0.5).
    """
    filled = ndimage.binary_fill_holes(largest_component(mask))
    return _thinned(_without_straight_vertices(_trace(filled)))


def _trace(region: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Walk the pixel edges of one hole-free 4-connected region clockwise, (row, column) corners.

    One edge leaves each corner: two pixels that touch at a corner only are joined by a way round, which would enclose a
    hole.
    """
    directions = _edges(region)
    start = min(directions)
    corners = [start]
    while len(corners) == 1 or corners[-1] != start:
        row, column = corners[-1]
        down, right = directions[row, column]
        corners.append((row + down, column + right))
    return corners


def _edges(region: NDArray[np.bool_]) -> dict[tuple[int, int], tuple[int, int]]:
    """Directed pixel edges between region and background, region on the right: corner to where its edge leads."""
    padded = np.pad(region, 1)
    inside = padded[1:-1, 1:-1]
    edges: dict[tuple[int, int], tuple[int, int]] = {}
    sides = (
        # background neighbour, start corner, direction
        (padded[:-2, 1:-1], (0, 0), (0, 1)),
        (padded[1:-1, 2:], (0, 1), (1, 0)),
        (padded[2:, 1:-1], (1, 1), (0, -1)),
        (padded[1:-1, :-2], (1, 0), (-1, 0)),
    )
    for neighbour, offset, direction in sides:
        for row, column in np.argwhere(inside & ~neighbour) + offset:
            edges[int(row), int(column)] = direction
    return edges


def _without_straight_vertices(corners: list[tuple[int, int]]) -> NDArray[np.float64]:
    points = np.array(corners[:-1], np.float64)[:, ::-1]
    incoming = points - np.roll(points, 1, axis=0)
    outgoing = np.roll(points, -1, axis=0) - points
    return points[np.any(incoming != outgoing, axis=1)]


def _thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = points[:: math.ceil(len(points) / MAX_VERTICES)]
    return np.vstack([kept, kept[:1]])
