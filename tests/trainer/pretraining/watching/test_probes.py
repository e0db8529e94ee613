from dataclasses import replace

import torch
from torch import Tensor

from pretraining_runs import labelled_slices
from trainer.pretraining.watching.probes import (
    balanced_accuracy,
    linear_classifier,
    measure,
    nearest_neighbours,
    split_by_patient,
    whole_slices,
)


def blobs(seed: int) -> tuple[Tensor, Tensor]:
    """Three classes around three directions, of 60, 30 and 6 points."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 6)
    return torch.eye(8)[labels] * 4 + 0.3 * torch.randn(96, 8, generator=generator), labels


def test_both_probes_tell_separable_classes_apart_and_no_others() -> None:
    fitted, labels = blobs(0)
    held_out, true = blobs(1)
    noise = torch.randn(96, 8, generator=torch.Generator().manual_seed(2))
    for probe in (nearest_neighbours, linear_classifier):
        assert balanced_accuracy(probe(fitted, labels, held_out), true) == 1.0
        assert balanced_accuracy(probe(noise, labels, held_out), true) < 0.7


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    assert balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1])) == 0.5


def test_a_patient_is_on_one_side_only() -> None:
    samples = labelled_slices()
    (split,) = split_by_patient(samples)
    sides = [{samples[index].patient for index in side} for side in (split.fitted, split.held_out)]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_slices_without_labels_are_not_asked_about() -> None:
    assert (
        measure(lambda images: images.flatten(1)[:, None], [replace(s, region=None) for s in labelled_slices()], 16)
        == {}
    )


def test_pixels_alone_tell_wide_bodies_from_round_ones() -> None:
    found = measure(lambda images: images.flatten(1)[:, None], labelled_slices(), 16)
    assert found == {"knn/region": 1.0, "linear/region": 1.0}


def test_whole_slices_are_zscored() -> None:
    images = whole_slices(labelled_slices()[:2], 32)
    std, mean = torch.std_mean(images, dim=(1, 2, 3))
    torch.testing.assert_close(std, torch.ones(2))
    torch.testing.assert_close(mean, torch.zeros(2), atol=1e-5, rtol=0)
