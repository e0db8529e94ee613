"""DINOv2's multi-crop: two global and several local views of each slice, with the masks of the global ones.

What is random is decided on the host first (`plan_crops`), so that the pixels can be moved anywhere (`render_crops`).
Every batch is view-major: the first B crops are all slices' first view.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.pretraining.config import CropSettings, PretrainingConfig
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.content import Content, find_content
from trainer.pretraining.views.crop_boxes import CropBox, draw_filled_box, flip_sometimes
from trainer.pretraining.views.device_transfer import to_device
from trainer.pretraining.views.guide_images import guide_images
from trainer.pretraining.views.masking import BlockPrior, UniformPrior, anatomy_prior, draw_masks
from trainer.pretraining.views.resampling import padded_stack, resample_each, resample_together

NUM_GLOBAL = 2
STD_EPS = 1e-6
"""The published processor's: a flatter crop is only centred."""

Augmentation = Callable[[Tensor, Sequence[SliceSample], np.random.Generator], Tensor]
"""Crops (n, 1, S, S) float32 in HU or scanner units, the slice of each, to crops alike."""


@dataclass(frozen=True, slots=True, eq=False)
class CropPlan:
    """A batch's random decisions.

    global_boxes, local_boxes : one tuple of B boxes for each view
    masks : (2B, N) bool
    tried, rejected : boxes drawn, and those of them with too little content
    """

    global_boxes: tuple[tuple[CropBox, ...], ...]
    local_boxes: tuple[tuple[CropBox, ...], ...]
    masks: NDArray[np.bool_]
    tried: int
    rejected: int


@dataclass(frozen=True, slots=True, eq=False)
class CropBatch:
    """What the student and the teacher see.

    global_crops : (2B, 1, G, G) float32, z-scored each
    local_crops : (n B, 1, L, L) float32, z-scored each
    masks : (2B, N) bool, True where the student sees the mask token
    mask_indices : (M,) int64, the masked tokens' places in the flattened (2B N) tokens; made on the host, because a
        device would have to tell how many there are
    mask_weights : (M,) float32, one over the number of masked tokens in the same crop
    tried, rejected : boxes drawn, and those of them with too little content
    guide_images : (2B, 3, G, G) float32, the global crops as the frozen network sees them; None without one
    """

    global_crops: Tensor
    local_crops: Tensor
    masks: Tensor
    mask_indices: Tensor
    mask_weights: Tensor
    tried: int
    rejected: int
    guide_images: Tensor | None = None

    def to(self, device: torch.device) -> "CropBatch":
        return replace(
            self,
            global_crops=to_device(self.global_crops, device),
            local_crops=to_device(self.local_crops, device),
            masks=to_device(self.masks, device),
            mask_indices=to_device(self.mask_indices, device),
            mask_weights=to_device(self.mask_weights, device),
            guide_images=None if self.guide_images is None else to_device(self.guide_images, device),
        )


def make_crops(
    samples: Sequence[SliceSample],
    config: PretrainingConfig,
    generator: np.random.Generator,
    *,
    augment: Augmentation | None = None,
    device: torch.device | None = None,
) -> CropBatch:
    """The views of *samples* at [crops]' sizes, on *device*; the CPU without one."""
    plan = plan_crops(samples, config, generator)
    return render_crops(
        plan,
        samples,
        config.crops,
        generator,
        augment=augment,
        device=device,
        with_guide_images=config.guide.weights is not None,
    )


def plan_crops(samples: Sequence[SliceSample], config: PretrainingConfig, generator: np.random.Generator) -> CropPlan:
    crops, masking = config.crops, config.masking
    contents = [find_content(sample) for sample in samples]
    global_boxes, rejected_global = _draw_views(contents, crops.global_scale, NUM_GLOBAL, crops, generator)
    local_boxes, rejected_local = _draw_views(contents, crops.local_scale, crops.num_local, crops, generator)
    grid = crops.global_size // config.model.patch_size
    priors: list[BlockPrior] = [UniformPrior(grid)] * (NUM_GLOBAL * len(samples))
    if masking.kind == "anatomy":
        anatomies = [content.anatomy for content in contents]
        priors = [
            anatomy_prior(anatomy, box, grid, spread=masking.spread)
            for view in global_boxes
            for anatomy, box in zip(anatomies, view, strict=True)
        ]
    masks = draw_masks(priors, masking, generator)
    rejected = rejected_global + rejected_local
    # A rejected box was drawn again, except where the tries ran out; there its best one was drawn already.
    tried = sum(_tries(count, crops) for count in rejected)
    return CropPlan(global_boxes, local_boxes, masks, tried, sum(rejected))


def render_crops(
    plan: CropPlan,
    samples: Sequence[SliceSample],
    settings: CropSettings,
    generator: np.random.Generator,
    *,
    augment: Augmentation | None = None,
    device: torch.device | None = None,
    with_guide_images: bool = False,
) -> CropBatch:
    """The planned crops; *augment* comes before the z-score, which takes each crop as an image of its own."""
    device = device or torch.device("cpu")
    slices = [torch.from_numpy(sample.pixels) for sample in samples]
    stacked = None if device.type == "cpu" else to_device(padded_stack(slices), device)

    def render(views: tuple[tuple[CropBox, ...], ...], size: int) -> Iterator[Tensor]:
        for boxes in views:
            raw = resample_each(slices, boxes, size) if stacked is None else resample_together(stacked, boxes, size)
            yield raw if augment is None else augment(raw, samples, generator)

    global_views = list(render(plan.global_boxes, settings.global_size))
    local_views = list(render(plan.local_boxes, settings.local_size))
    no_crops = torch.empty(0, 1, settings.local_size, settings.local_size, device=device)

    masks = torch.from_numpy(plan.masks)
    weights = (1.0 / masks.sum(dim=1).clamp(min=1)).to(torch.float32)
    return CropBatch(
        torch.cat([zscore(view) for view in global_views]),
        torch.cat([no_crops, *(zscore(view) for view in local_views)]),
        to_device(masks, device),
        to_device(masks.flatten().nonzero().flatten(), device),
        to_device(weights[:, None].expand_as(masks)[masks], device),
        plan.tried,
        plan.rejected,
        torch.cat([guide_images(view, samples) for view in global_views]) if with_guide_images else None,
    )


def zscore(crops: Tensor) -> Tensor:
    """(n, 1, S, S) to zero mean and unit (unbiased) standard deviation each, as the published processor has it."""
    std, mean = torch.std_mean(crops, dim=(1, 2, 3), keepdim=True)
    return (crops - mean) / torch.where(std < STD_EPS, torch.ones_like(std), std)


def _draw_views(
    contents: Sequence[Content],
    scale: tuple[float, float],
    num_views: int,
    settings: CropSettings,
    rng: np.random.Generator,
) -> tuple[tuple[tuple[CropBox, ...], ...], list[int]]:
    """Boxes of each view, and how many were rejected for each of them."""
    drawn = [[draw_filled_box(content, scale, settings.content, rng) for content in contents] for _ in range(num_views)]
    boxes = tuple(tuple(flip_sometimes(box, settings.flip, rng) for box, _ in view) for view in drawn)
    return boxes, [rejected for view in drawn for _, rejected in view]


def _tries(rejected: int, settings: CropSettings) -> int:
    return min(rejected + 1, settings.content.max_tries)
