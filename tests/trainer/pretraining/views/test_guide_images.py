from dataclasses import replace

import torch

from slice_cases import body_slice
from trainer.pretraining.views.guide_images import WINDOWS_HU, guide_images

CT = body_slice()
GREY = replace(CT, values="grey levels")


def test_hu_are_seen_in_three_windows() -> None:
    ramp = torch.linspace(-1100, 1400, 64 * 64).view(1, 1, 64, 64)
    (image,) = guide_images(ramp, [CT])
    for channel, (low, high) in zip(image, WINDOWS_HU, strict=True):
        expected = ((ramp[0, 0] - low) / (high - low)).clamp(0, 1) * 2 - 1
        torch.testing.assert_close(channel, expected, atol=1e-5, rtol=0)


def test_other_values_fill_the_range_whatever_their_scale() -> None:
    crop = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    one, scaled = guide_images(crop, [GREY]), guide_images(crop * 300 + 40, [GREY])
    torch.testing.assert_close(one, scaled, atol=1e-3, rtol=0)
    assert (one.min(), one.max()) == (-1, 1)
    assert torch.equal(one[:, 0], one[:, 2])


def test_a_constant_crop_stays_finite() -> None:
    assert guide_images(torch.full((1, 1, 32, 32), 7.0), [GREY]).isfinite().all()
