import torch
from torch import Tensor

from trainer.evaluation.probes import balanced_accuracy, linear_classifier, nearest_neighbours


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
