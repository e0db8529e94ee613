import torch

from trainer.pretraining.augmentations.windows import clamp_to_windows


def test_values_inside_stay_hounsfield_units_and_those_beyond_become_the_ends() -> None:
    crops = torch.tensor([-1000.0, -100.0, 40.0, 900.0]).expand(2, 1, 1, 4)

    clamped = clamp_to_windows(crops, torch.tensor([-160.0, -1350.0]), torch.tensor([240.0, 150.0]))

    assert clamped[0].flatten().tolist() == [-160.0, -100.0, 40.0, 240.0]
    assert clamped[1].flatten().tolist() == [-1000.0, -100.0, 40.0, 150.0]


def test_a_crop_that_would_lose_nearly_everything_is_left_alone() -> None:
    lung = torch.full((1, 1, 4, 4), -850.0)
    lung[0, 0, 0, 0] = 40.0

    assert torch.equal(clamp_to_windows(lung, torch.tensor([-160.0]), torch.tensor([240.0])), lung)
