from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.pretraining.views.crop_boxes import CropBox
from trainer.pretraining.views.resampling import padded_stack, resample_each, resample_together

Resample = Callable[[Sequence[Tensor], Sequence[CropBox], int], Tensor]

BOXES = (CropBox(0, 0, 64, 80), CropBox(10, 5, 20, 30), CropBox(31, 40, 33, 7, flipped=True), CropBox(3, 3, 5, 5))


def noise() -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.integers(-1000, 1000, (64, 80)).astype(np.int16)) for _ in BOXES]


def together(slices: Sequence[Tensor], boxes: Sequence[CropBox], size: int) -> Tensor:
    return resample_together(padded_stack(slices), boxes, size)


@pytest.mark.parametrize("size", [8, 24, 96])
def test_both_ways_agree(size: int) -> None:
    torch.testing.assert_close(together(noise(), BOXES, size), resample_each(noise(), BOXES, size), atol=0.01, rtol=0)


def test_slices_of_different_sizes_are_stacked_without_a_trace() -> None:
    uneven = [pixels[: 64 - 9 * i, : 80 - 5 * i] for i, pixels in enumerate(noise())]
    boxes = [CropBox(0, 0, *pixels.shape) for pixels in uneven]
    torch.testing.assert_close(together(uneven, boxes, 16), resample_each(uneven, boxes, 16), atol=0.01, rtol=0)


@pytest.mark.parametrize("resample", [resample_each, together])
def test_a_ramp_stays_a_ramp_in_its_place(resample: Resample) -> None:
    """Column c holds c + 0.5: output j of a box from 20 over 32 columns to 8 sees 20 + 4 (j + 0.5), but at borders."""
    ramp = (torch.arange(80) + 0.5).expand(64, 80)
    boxes = [CropBox(8, 20, 32, 32), CropBox(8, 20, 32, 32, flipped=True)]
    crop, mirrored = resample([ramp, ramp], boxes, 8)
    expected = 20 + 4 * (torch.arange(8) + 0.5)
    torch.testing.assert_close(crop[0, 3, 2:-2], expected[2:-2], atol=1e-3, rtol=0)
    torch.testing.assert_close(mirrored, crop.flip(-1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("resample", [resample_each, together])
def test_a_box_of_the_wanted_size_is_copied(resample: Resample) -> None:
    pixels = noise()[0]
    crop = resample([pixels], [CropBox(4, 6, 16, 16)], 16)
    torch.testing.assert_close(crop[0, 0], pixels[4:20, 6:22].float(), atol=1e-3, rtol=0)
