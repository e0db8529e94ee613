"""Where crops are cut: random area and aspect as in DINOv2, and Curia-2's rejection of those with little content."""

import math
from dataclasses import dataclass, replace

import numpy as np

from trainer.pretraining.config import ContentSettings
from trainer.pretraining.views.content import Content

ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10
"""Areas and aspects that are tried to fit the slice, before its middle is taken; torchvision's number."""


@dataclass(frozen=True, slots=True)
class CropBox:
    """Pixels of the slice; *flipped* mirrors the crop left to right."""

    top: int
    left: int
    height: int
    width: int
    flipped: bool = False


def draw_box(shape: tuple[int, int], scale: tuple[float, float], rng: np.random.Generator) -> CropBox:
    """A box of uniform area and log-uniform aspect, uniform in place (torchvision's RandomResizedCrop).

    shape : rows, columns of the slice
    scale : least and largest share of the slice's area
    """
    rows, columns = shape
    for _ in range(ATTEMPTS):
        area = rows * columns * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < height <= rows and 0 < width <= columns:
            top, left = (int(rng.integers(room + 1)) for room in (rows - height, columns - width))
            return CropBox(top, left, height, width)
    side = min(rows, columns)
    return CropBox((rows - side) // 2, (columns - side) // 2, side, side)


def draw_filled_box(
    content: Content, scale: tuple[float, float], settings: ContentSettings, rng: np.random.Generator
) -> tuple[CropBox, int]:
    """A box with enough content, or the fullest of those tried.

    Returns
    -------
    The box, and how many were rejected.
    """
    if not settings.enabled:
        return draw_box(content.shape, scale, rng), 0
    # A small head in a wide field of view never fills a crop; it is asked for no more than the slice holds.
    wanted = min(settings.min_content, content.share(0, 0, *content.shape))
    tried: list[tuple[float, CropBox]] = []
    for rejected in range(settings.max_tries):
        box = draw_box(content.shape, scale, rng)
        share = content.share(box.top, box.left, box.height, box.width)
        if share >= wanted:
            return box, rejected
        tried.append((share, box))
    return max(tried, key=lambda candidate: candidate[0])[1], settings.max_tries


def flip_sometimes(box: CropBox, probability: float, rng: np.random.Generator) -> CropBox:
    return replace(box, flipped=bool(rng.random() < probability))
