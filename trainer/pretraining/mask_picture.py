"""The picture of both priors: how often each token is hidden, over many draws (after the Curia-2 paper's figure 2)."""

from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from trainer.pretraining.config import MaskingSettings
from trainer.pretraining.views.content import Content
from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.masking import BlockPrior, UniformPrior, anatomy_prior, draw_mask

GRID = 32
SLICE = 512
NUM_DRAWS = 2000


def mean_mask(prior: BlockPrior, settings: MaskingSettings, *, num_draws: int, seed: int) -> NDArray[np.float64]:
    """(grid, grid), how often each token is hidden in a masked crop; ratios spread over the range as in training."""
    rng = np.random.default_rng(seed)
    low, high = settings.ratio
    ratios = low + (high - low) * (np.arange(num_draws) + 0.5) / num_draws
    total = np.zeros((prior.grid, prior.grid))
    for ratio in ratios:
        total += draw_mask(prior, round(prior.grid**2 * ratio), rng)
    return total / num_draws


def draw_mask_picture(out: Path, *, num_draws: int = NUM_DRAWS, seed: int = 0) -> None:
    """An ellipse for a body, the two priors on the whole slice, and the anatomy's on a crop beside it."""
    settings = MaskingSettings()
    body = _body()
    anatomy = Content(body).anatomy
    whole, crop = CropBox(0, 0, SLICE, SLICE), CropBox(20, 250, 260, 260)

    def anatomy_mask(box: CropBox) -> NDArray[np.float64]:
        prior = anatomy_prior(anatomy, box, GRID, spread=settings.spread)
        return mean_mask(prior, settings, num_draws=num_draws, seed=seed)

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(body, cmap="gray")
    axes[0].add_patch(Rectangle((crop.left, crop.top), crop.width, crop.height, fill=False, edgecolor="tab:orange"))
    axes[0].set_title("body, and a crop of it")
    uniform = mean_mask(UniformPrior(GRID), settings, num_draws=num_draws, seed=seed)
    panels: tuple[tuple[str, NDArray[np.float64]], ...] = (
        ("DINOv2's blocks", uniform),
        ("anatomy prior, whole slice", anatomy_mask(whole)),
        ("anatomy prior, the crop", anatomy_mask(crop)),
    )
    scale = ScalarMappable(Normalize(0.0, max(mask.max() for _, mask in panels)))
    for axis, (title, mask) in zip(axes[1:], panels, strict=True):
        axis.imshow(mask, norm=scale.norm)
        axis.set_title(title)
    for axis in axes:
        axis.set_axis_off()
    figure.colorbar(scale, ax=axes[-1], label=f"share of {num_draws:,} masks")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Without the library's version in it, the same draws write the same bytes.
    figure.savefig(out, dpi=110, metadata={"Software": None})


def _body() -> NDArray[np.bool_]:
    row, column = np.ogrid[:SLICE, :SLICE]
    ellipse = ((row - 290) / 120) ** 2 + ((column - 236) / 175) ** 2 < 1.0
    return np.asarray(ellipse, np.bool_)
