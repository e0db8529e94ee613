from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from trainer.heads.outlined_slices import UNKNOWN, OutlinedSlices
from trainer.heads.pixel_decoder import DecoderFit, DiceOver, decode, fit_decoder, outline_loss
from trainer.heads.unet import UNetInTraining

GRID, CELLS = 8, 32
FIT = DecoderFit(levels=2, hidden=8, steps=150, batch_size=4)
UNET = DecoderFit(kind="unet", levels=2, hidden=8, steps=150, batch_size=4)


def discs(count: int, *, seed: int) -> OutlinedSlices:
    """Discs that one of the tokens' features tells and the image shows; every fourth slice holds none."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:CELLS, :CELLS]
    classes = np.zeros((count, CELLS, CELLS), np.uint8)
    for k in range(count):
        if k % 4:
            row, column = rng.integers(8, CELLS - 8, 2)
            classes[k] = (rows - row) ** 2 + (columns - column) ** 2 < rng.integers(4, 8) ** 2
    share = classes.reshape(count, GRID, 4, GRID, 4).mean(axis=(2, 4)).reshape(count, -1, 1)
    noise = rng.normal(size=(count, GRID**2, 7))
    tokens = 30.0 + 5.0 * np.concatenate([share, noise], axis=2)
    images = classes + rng.normal(0.0, 0.3, classes.shape)
    people = np.array([f"p{k}" for k in range(count)])
    return OutlinedSlices(tokens.astype(np.float16), images.astype(np.float16), classes, people)


@pytest.mark.parametrize("fit", [FIT, UNET])
def test_it_outlines_what_tokens_and_image_tell_in_slices_it_never_saw(fit: DecoderFit) -> None:
    decoder = fit_decoder(discs(48, seed=0), fit, num_classes=1)
    asked = discs(16, seed=1)
    found = decode(decoder, asked)[:, 0] > 0
    overlap = 2 * (found & (asked.classes > 0)).sum() / (found.sum() + asked.classes.sum())
    assert overlap > 0.85
    assert not found[0].any()  # holds no disc


@pytest.mark.parametrize("fit", [FIT, UNET])
def test_the_same_seed_gives_the_same_decoder(fit: DecoderFit) -> None:
    few = replace(fit, hidden=4, steps=3)
    one, other = (fit_decoder(discs(8, seed=0), few, num_classes=1).tensors for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("fit", [FIT, UNET])
def test_weights_come_back_from_a_file_as_they_were_fitted(fit: DecoderFit, tmp_path: Path) -> None:
    tensors = fit_decoder(discs(8, seed=0), replace(fit, hidden=4, steps=3), num_classes=1).tensors
    save_file(tensors, tmp_path / "weights.safetensors")
    again = load_file(tmp_path / "weights.safetensors")
    assert all(np.array_equal(again[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("dice_over", ["batch", "slice"])
def test_the_loss_is_small_only_where_everything_is_right(dice_over: DiceOver) -> None:
    classes = torch.zeros(1, 4, 4, dtype=torch.long)
    classes[0, :2] = 1
    right = torch.where(classes[:, None] == 1, 20.0, -20.0)
    assert outline_loss(right, classes, dice_over=dice_over) < 1e-3
    # Half of all cells are wrong: cross-entropy 20 each, and nothing overlaps.
    assert outline_loss(-right, classes, dice_over=dice_over).item() > 20


def test_what_is_small_counts_as_much_as_what_is_large_where_dice_is_taken_by_slice() -> None:
    """Of 1 and 15 cells one slice's are missed: over the batch the single cell hardly counts."""
    classes = torch.zeros(2, 4, 4, dtype=torch.long)
    classes[0, 0, 0] = 1
    classes[1].flatten()[1:] = 1
    sure = torch.where(classes[:, None] == 1, 20.0, -20.0)
    losses = {}
    for missed in (0, 1):
        evidence = sure.clone()
        evidence[missed] = -20.0
        entropy = 20.0 * classes[missed].sum() / 32
        for dice_over in ("batch", "slice"):
            losses[dice_over, missed] = (outline_loss(evidence, classes, dice_over=dice_over) - entropy).item()
    # (2 x both + 1) / (predicted + true + 1), of the slices: 1 / 2 and 1, or 1 and 1 / 16.
    assert losses["slice", 0] == pytest.approx(1 - (1 / 2 + 1) / 2, abs=1e-4)
    assert losses["slice", 1] == pytest.approx(1 - (1 + 1 / 16) / 2, abs=1e-4)
    assert losses["batch", 0] == pytest.approx(1 - (2 * 15 + 1) / (15 + 16 + 1), abs=1e-4)
    assert losses["batch", 1] == pytest.approx(1 - (2 * 1 + 1) / (1 + 16 + 1), abs=1e-4)


@pytest.mark.parametrize("dice_over", ["batch", "slice"])
def test_what_nobody_knows_counts_for_nothing(dice_over: DiceOver) -> None:
    classes = torch.zeros(1, 4, 4, dtype=torch.long)
    classes[0, :2], classes[0, 3] = 1, UNKNOWN
    right = torch.where(classes[:, None] == 1, 20.0, -20.0)
    wrong_where_unknown = torch.where(classes[:, None] == UNKNOWN, 20.0, right)
    losses = [outline_loss(one, classes, dice_over=dice_over) for one in (wrong_where_unknown, right)]
    assert losses[0] == losses[1] < 1e-3


def test_a_person_of_few_slices_counts_as_much_as_one_of_many() -> None:
    """Two people contradict each other at the same tokens; one has thirty times the slices."""
    tokens, images = np.zeros((62, GRID**2, 8), np.float16), np.zeros((62, CELLS, CELLS), np.float16)
    classes = np.zeros((62, CELLS, CELLS), np.uint8)
    classes[:2] = 1
    classes[2:, 0, 0] = 1  # so that each has slices of the same kind
    people = np.array(["few"] * 2 + ["many"] * 60)
    slices = OutlinedSlices(tokens, images, classes, people)
    evidence = decode(fit_decoder(slices, FIT, num_classes=1), slices.only(np.array([0])))
    share = 1.0 / (1.0 + np.exp(-evidence))
    assert 0.3 < np.median(share) < 0.7


@pytest.mark.parametrize("empty", [0.25, 0.75])
def test_a_share_of_what_is_shown_holds_nothing(empty: float) -> None:
    """At the same tokens some slices are whole and others empty: the evidence learns how often it saw which."""
    tokens, images = np.zeros((40, GRID**2, 8), np.float16), np.zeros((40, CELLS, CELLS), np.float16)
    classes = np.zeros((40, CELLS, CELLS), np.uint8)
    classes[:2] = 1
    slices = OutlinedSlices(tokens, images, classes, np.array([f"p{k}" for k in range(40)]))
    evidence = decode(fit_decoder(slices, replace(FIT, empty=empty), num_classes=1), slices.only(np.array([0])))
    share = 1.0 / (1.0 + np.exp(-np.median(evidence)))
    assert (share > 0.5) == (empty < 0.5)


@torch.no_grad()
def test_a_unet_is_written_as_it_answered_after_training() -> None:
    """Batch norm and the tokens' standard are folded into plain weights."""
    generator = torch.Generator().manual_seed(0)
    network = UNetInTraining(7, 2, levels=1, hidden=4, generator=generator)
    mean, scale = torch.randn(7, generator=generator), torch.rand(7, generator=generator) + 0.5
    tokens = torch.randn(3, 36, 7, generator=generator) * scale + mean
    images = torch.randn(3, 1, 24, 24, generator=generator)
    for _ in range(3):  # so that running means are not 0
        network((tokens - mean) / scale, images)
    expected = network.eval()((tokens - mean) / scale, images)
    assert expected.shape == (3, 2, 12, 12)
    torch.testing.assert_close(network.finished(mean, scale).on("cpu")(tokens, images), expected, rtol=1e-4, atol=1e-4)
