import torch

from trainer.pretraining.augmentations.gamma import apply_gamma


def test_it_bends_between_the_ends_and_keeps_them() -> None:
    crops = torch.tensor([100.0, 150.0, 200.0, 300.0]).expand(2, 1, 1, 4)

    bent = apply_gamma(crops, torch.tensor([2.0, 0.5]))

    torch.testing.assert_close(bent[0].flatten(), torch.tensor([100.0, 112.5, 150.0, 300.0]))
    torch.testing.assert_close(bent[1].flatten(), torch.tensor([100.0, 200.0, 100 + 200 * 0.5**0.5, 300.0]))


def test_an_even_crop_stays_even() -> None:
    assert torch.equal(apply_gamma(torch.full((1, 1, 2, 2), 7.0), torch.tensor([1.5])), torch.full((1, 1, 2, 2), 7.0))
