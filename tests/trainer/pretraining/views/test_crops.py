from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from slice_cases import body_slice, make_sample, tiny_config
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.crops import CropBatch, make_crops, plan_crops, render_crops, zscore

SAMPLES = [body_slice(seed=seed, centre=(50 + 10 * seed, 64)) for seed in range(3)]


def make(**tables: dict[str, object]) -> CropBatch:
    return make_crops(SAMPLES, tiny_config(**tables), np.random.default_rng(0))


def test_shapes_types_and_zscores() -> None:
    batch = make()
    assert batch.global_crops.shape == (6, 1, 32, 32)
    assert batch.local_crops.shape == (6, 1, 16, 16)
    assert batch.masks.shape == (6, 16)
    assert (batch.global_crops.dtype, batch.masks.dtype) == (torch.float32, torch.bool)
    for crops in (batch.global_crops, batch.local_crops):
        torch.testing.assert_close(crops.mean(dim=(1, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
        torch.testing.assert_close(crops.std(dim=(1, 2, 3)), torch.ones(6), atol=1e-4, rtol=0)


def test_a_flat_crop_is_only_centred() -> None:
    torch.testing.assert_close(zscore(torch.full((2, 1, 4, 4), -1000.0)), torch.zeros(2, 1, 4, 4))


def test_mask_indices_and_weights_follow_the_masks() -> None:
    batch = make(masking={"probability": 1.0})
    flat = batch.masks.flatten()
    assert [i for i in range(len(flat)) if flat[i]] == batch.mask_indices.tolist()
    for index, weight in zip(batch.mask_indices.tolist(), batch.mask_weights.tolist(), strict=True):
        assert weight == pytest.approx(1 / int(batch.masks[index // 16].sum()))


def test_without_masks_or_local_crops() -> None:
    batch = make(masking={"probability": 0.0}, crops={"num_local": 0})
    assert batch.mask_indices.shape == batch.mask_weights.shape == (0,)
    assert batch.local_crops.shape == (0, 1, 16, 16)


def test_the_same_generator_state_gives_the_same_batch() -> None:
    first, second = make(), make()
    assert torch.equal(first.global_crops, second.global_crops)
    assert torch.equal(first.local_crops, second.local_crops)
    assert torch.equal(first.masks, second.masks)


def test_view_major_and_every_crop_from_its_box() -> None:
    """Each slice is a ramp over columns on a level of its own; augmentation shows us the raw values."""
    ramp = np.arange(128)[None, :].repeat(128, axis=0)
    samples = [make_sample(ramp + 1000 * index) for index in range(3)]
    config = tiny_config()
    seen: list[Tensor] = []

    def keep(crops: Tensor, of: Sequence[SliceSample], rng: np.random.Generator) -> Tensor:
        assert list(of) == samples
        seen.append(crops)
        return crops

    rng = np.random.default_rng(0)
    plan = plan_crops(samples, config, rng)
    render_crops(plan, samples, config.crops, rng, augment=keep)
    for view, boxes in zip(seen, plan.global_boxes + plan.local_boxes, strict=True):
        for index, box in enumerate(boxes):
            middle = 1000 * index + box.left + (box.width - 1) / 2
            assert float(view[index].mean()) == pytest.approx(middle, abs=0.5)
            falling = float(view[index, 0, 5, 2] - view[index, 0, 5, -3]) > 0
            assert falling == box.flipped


def test_augmentation_comes_before_the_zscore() -> None:
    config = tiny_config()

    def brighten(crops: Tensor, of: Sequence[SliceSample], rng: np.random.Generator) -> Tensor:
        return 3.0 * crops + 500.0

    plain = make_crops(SAMPLES, config, np.random.default_rng(0))
    brighter = make_crops(SAMPLES, config, np.random.default_rng(0), augment=brighten)
    torch.testing.assert_close(brighter.global_crops, plain.global_crops, atol=1e-4, rtol=0)


def test_rejections_are_counted_and_can_be_switched_off() -> None:
    """A body in the left half: small crops on the right hold nothing."""
    samples = [body_slice(centre=(64, 30), radii=(60, 28))] * 4
    crops: dict[str, object] = {"num_local": 8, "local_scale": (0.05, 0.1)}
    rejecting = plan_crops(samples, tiny_config(crops=crops), np.random.default_rng(0))
    assert rejecting.tried == 40 + rejecting.rejected
    assert 0.2 < rejecting.rejected / rejecting.tried < 0.7
    once = plan_crops(samples, tiny_config(crops=crops | {"content": {"max_tries": 1}}), np.random.default_rng(0))
    assert once.tried == 40
    assert once.rejected > 0
    off = plan_crops(samples, tiny_config(crops=crops | {"content": {"enabled": False}}), np.random.default_rng(0))
    assert (off.tried, off.rejected) == (40, 0)


def test_masks_follow_the_anatomy_through_the_crop() -> None:
    """The body lies low in the slice; so do the anatomy's masks, and DINOv2's do not."""
    samples = [body_slice(centre=(100, 64), radii=(20, 50))] * 150
    crops: dict[str, object] = {"global_size": 64, "num_local": 0, "global_scale": (0.9, 1.0)}
    below = {}
    for kind in ("anatomy", "blockwise"):
        config = tiny_config(crops=crops, masking={"kind": kind, "probability": 1.0})
        masks = plan_crops(samples, config, np.random.default_rng(0)).masks.reshape(-1, 8, 8)
        below[kind] = masks[:, 4:].sum() / masks.sum()
    assert below["anatomy"] > 0.7
    assert below["blockwise"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.gpu
def test_the_device_makes_the_same_crops() -> None:
    config, device = tiny_config(), torch.device("cuda")
    here = make_crops(SAMPLES, config, np.random.default_rng(0)).to(device)
    there = make_crops(SAMPLES, config, np.random.default_rng(0), device=device)
    for name in ("global_crops", "local_crops", "masks", "mask_indices", "mask_weights"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), atol=1e-3, rtol=0)
