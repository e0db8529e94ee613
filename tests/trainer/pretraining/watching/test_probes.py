from dataclasses import replace

import torch

from pretraining_runs import labelled_slices
from trainer.pretraining.watching.probes import probe_figures, split_by_patient, whole_slices


def test_a_patient_is_on_one_side_only() -> None:
    samples = labelled_slices()
    (split,) = split_by_patient(samples)
    sides = [{samples[index].patient for index in side} for side in (split.fitted, split.held_out)]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_slices_without_labels_are_not_asked_about() -> None:
    assert (
        probe_figures(
            lambda images: images.flatten(1)[:, None], [replace(s, region=None) for s in labelled_slices()], 16
        )
        == {}
    )


def test_pixels_alone_tell_wide_bodies_from_round_ones() -> None:
    found = probe_figures(lambda images: images.flatten(1)[:, None], labelled_slices(), 16)
    assert found == {"knn/region": 1.0, "linear/region": 1.0}


def test_whole_slices_are_zscored() -> None:
    images = whole_slices(labelled_slices()[:2], 32)
    std, mean = torch.std_mean(images, dim=(1, 2, 3))
    torch.testing.assert_close(std, torch.ones(2))
    torch.testing.assert_close(mean, torch.zeros(2), atol=1e-5, rtol=0)
