"""The same people as a narrower field of view would show them."""

import hashlib

import numpy as np

from trainer.features.scans import Scan

SHARES = (0.45, 0.85)
"""Least and largest share of each side that is kept."""

SMALLEST = 24
"""Pixels along a side; what is smaller is a crop already."""


def cropped(scan: Scan) -> Scan:
    """The scan with a window of its rows and columns, drawn by its patient's and its own name."""
    depth, height, width = scan.volume.geometry.shape
    if min(height, width) < SMALLEST / SHARES[0]:
        return scan
    seed = hashlib.sha256(f"{scan.patient} {scan.name}".encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    rows, columns = (round(size * rng.uniform(*SHARES)) for size in (height, width))
    # Around the middle: a window at the edge may show nothing but air.
    top, left = (round((size - kept) * rng.uniform(0.3, 0.7)) for size, kept in ((height, rows), (width, columns)))
    return scan.windowed((0, top, left), (depth, top + rows, left + columns))
