"""Which tokens of a global crop the student does not see: iBOT's blocks, placed anywhere or around the anatomy.

DINOv2 draws a block's corner uniformly. Curia-2 draws from a Gaussian prior centred on the anatomy in the original
slice, moved by the crop's offset. Unknown of the paper, so ours: the Gaussian's spread is the anatomy's own, both are
scaled with the crop, and a draw gives the block's centre.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.pretraining.config import MaskingSettings
from trainer.pretraining.views.content import Anatomy
from trainer.pretraining.views.crop_boxes import CropBox

MIN_BLOCK = 4
"""Tokens of the smallest block."""

ASPECT = (0.3, 1 / 0.3)
ATTEMPTS = 10
"""Blocks that are tried before single tokens fill the rest. This and the two above are DINOv2's."""

Mask = NDArray[np.bool_]


class BlockPrior(Protocol):
    """Where blocks of masked tokens lie on a square grid."""

    @property
    def grid(self) -> int:
        """Tokens along each side."""
        ...

    def place(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a block that lies within the grid."""
        ...

    def log_weights(self) -> NDArray[np.float64]:
        """(grid, grid), for single tokens; up to a constant."""
        ...


@dataclass(frozen=True, slots=True)
class UniformPrior:
    """DINOv2's: every place the same."""

    grid: int

    def place(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        return int(rng.integers(self.grid - height + 1)), int(rng.integers(self.grid - width + 1))

    def log_weights(self) -> NDArray[np.float64]:
        return np.zeros((self.grid, self.grid))


@dataclass(frozen=True, slots=True)
class AnatomyPrior:
    """Curia-2's: block centres from a Gaussian around the anatomy, cut off at the crop's border.

    centre, spread : tokens along rows and columns; token (0, 0) has its centre at 0.5. The centre may lie outside.
    """

    grid: int
    centre: tuple[float, float]
    spread: tuple[float, float]

    def place(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        row, column = (_draw_index(self._log_weights(axis), rng) for axis in (0, 1))
        return (
            min(max(row - height // 2, 0), self.grid - height),
            min(max(column - width // 2, 0), self.grid - width),
        )

    def log_weights(self) -> NDArray[np.float64]:
        return np.add.outer(self._log_weights(0), self._log_weights(1))

    def _log_weights(self, axis: int) -> NDArray[np.float64]:
        places = np.arange(self.grid) + 0.5
        return np.asarray(-0.5 * ((places - self.centre[axis]) / self.spread[axis]) ** 2)


def anatomy_prior(anatomy: Anatomy, box: CropBox, grid: int, *, spread: float) -> AnatomyPrior:
    """The anatomy as the crop shows it: moved by the crop's offset, scaled to its tokens, mirrored with it."""
    scale = (grid / box.height, grid / box.width)
    row = (anatomy.centre[0] - box.top) * scale[0]
    column = (anatomy.centre[1] - box.left) * scale[1]
    spreads = (spread * anatomy.spread[0] * scale[0], spread * anatomy.spread[1] * scale[1])
    return AnatomyPrior(grid, (row, grid - column if box.flipped else column), spreads)


def draw_masks(priors: list[BlockPrior], settings: MaskingSettings, rng: np.random.Generator) -> Mask:
    """(n, N), a mask for each crop of a batch, True where a token is hidden; most crops may have none.

    As in DINOv2 a share of the crops is masked, and their ratios are spread evenly over the range. Ours is to take the
    middle of each step instead of a draw within it, and to reach each count exactly: every batch of a size has the
    same number of masked tokens, so that shapes stay the same.
    """
    num_masked = round(len(priors) * settings.probability)
    low, high = settings.ratio
    ratios = low + (high - low) * (np.arange(num_masked) + 0.5) / max(num_masked, 1)
    masks = np.zeros((len(priors), priors[0].grid ** 2), np.bool_)
    for crop, ratio in zip(rng.permutation(len(priors)), ratios, strict=False):
        masks[crop] = draw_mask(priors[crop], round(masks.shape[1] * ratio), rng).ravel()
    return masks


def draw_mask(prior: BlockPrior, count: int, rng: np.random.Generator) -> Mask:
    """(grid, grid) with exactly *count* tokens hidden: blocks as long as they fit, single tokens for what is left."""
    mask = np.zeros((prior.grid, prior.grid), np.bool_)
    while (missing := count - int(mask.sum())) >= MIN_BLOCK:
        if not any(_add_block(mask, missing, prior, rng) for _ in range(ATTEMPTS)):
            break
    if missing > 0:
        # The largest of log weight plus Gumbel noise are a weighted draw without replacement (Vieira 2014).
        keys = np.where(mask, -np.inf, prior.log_weights() + rng.gumbel(size=mask.shape))
        mask.ravel()[np.argpartition(keys, -missing, axis=None)[-missing:]] = True
    return mask


def _add_block(mask: Mask, missing: int, prior: BlockPrior, rng: np.random.Generator) -> bool:
    """Whether a block went in that hides something new and no more than is missing."""
    area = rng.uniform(MIN_BLOCK, missing)
    aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    if not (0 < height < prior.grid and 0 < width < prior.grid):
        return False
    top, left = prior.place(height, width, rng)
    block = mask[top : top + height, left : left + width]
    if not 0 < block.size - int(block.sum()) <= missing:
        return False
    block[:] = True
    return True


def _draw_index(log_weights: NDArray[np.float64], rng: np.random.Generator) -> int:
    weights = np.exp(log_weights - log_weights.max()).cumsum()
    return int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))
