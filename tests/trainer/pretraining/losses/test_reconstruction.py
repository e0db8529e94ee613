import pytest
import torch

from trainer.pretraining.losses.reconstruction import patches_of, reconstruction_loss


def test_patches_and_their_pixels_come_row_by_row() -> None:
    crop = torch.arange(16.0).view(1, 1, 4, 4)
    expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert patches_of(crop, patch_size=2)[0].tolist() == expected


def test_only_masked_patches_are_asked_for() -> None:
    crops = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    answers = patches_of(crops, patch_size=4)
    masks = torch.zeros(2, 4, dtype=torch.bool)
    assert reconstruction_loss(answers + 9.0, crops, masks) == 0
    masks[0, 1] = masks[1, 2] = True
    answers[0, 1] += 0.5
    answers[0, 0] += 100.0
    assert reconstruction_loss(answers, crops, masks).item() == pytest.approx(0.125 / 2, abs=1e-6)
