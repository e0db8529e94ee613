"""Fitting the decoders of `operators.heads.pixel_decoder` on frozen features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from operators.heads.ensemble import Member
from operators.heads.pixel_decoder import DecoderKind, PixelDecoder
from trainer.heads.decoder import DecoderInTraining
from trainer.heads.outlined_slices import UNKNOWN, OutlinedSlices, SliceSource
from trainer.heads.unet import UNetInTraining

SMOOTH = 1.0
"""Cells that soft Dice adds above and below, so that a batch without a class asks for none of it."""

DiceOver = Literal["batch", "slice"]

_NETWORKS: dict[DecoderKind, type[DecoderInTraining | UNetInTraining]] = {
    "decoder": DecoderInTraining,
    "unet": UNetInTraining,
}


@dataclass(frozen=True, slots=True)
class DecoderFit:
    """How a decoder is fitted.

    kind : "unet" sees most of the slice and needs thousands of steps, "decoder" sees what lies around each cell
    levels : times that the grid of tokens is doubled
    hidden : channels
    steps, batch_size : of AdamW with a learning rate that falls as a half cosine
    dropout : share of the encoder's features that are left out of a slice
    empty : share of a batch that shows nothing to outline, where there are such slices
    dice_over : what soft Dice is taken of: all cells of a batch, or each slice's, so that small things count as much as
        large ones
    """

    kind: DecoderKind = "decoder"
    levels: int = 2
    hidden: int = 24
    steps: int = 500
    batch_size: int = 8
    lr: float = 4e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    empty: float = 0.5
    dice_over: DiceOver = "batch"
    seed: int = 0


def fit_decoder(slices: SliceSource, fit: DecoderFit, *, num_classes: int) -> Member:
    """Cross-entropy and soft Dice (Milletari et al. 2016).

    Among slices with something to outline people come equally often, however many slices they have; so among those
    without.
    """
    mean, scale = _standard(slices, fit.seed)
    network = _NETWORKS[fit.kind](
        len(mean),
        num_classes,
        levels=fit.levels,
        hidden=fit.hidden,
        generator=torch.Generator().manual_seed(fit.seed),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=fit.lr, weight_decay=fit.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fit.steps)
    torch.manual_seed(fit.seed)
    for chosen in _batches(slices, fit):
        batch = slices.only(chosen)
        tokens = (torch.from_numpy(batch.tokens.astype(np.float32)) - mean) / scale
        # Whole channels are dropped: a decoder that leans on a few of them knows few patients by heart.
        tokens = functional.dropout1d(tokens.mT, fit.dropout).mT
        images = torch.from_numpy(batch.images.astype(np.float32))[:, None]
        classes = torch.from_numpy(batch.classes).long()
        loss = outline_loss(network(tokens, images), classes, dice_over=fit.dice_over)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.finished(mean, scale)


def outline_loss(evidence: Tensor, classes: Tensor, *, dice_over: DiceOver) -> Tensor:
    """The loss of (n, C, G, G) evidence, background having 0, and (n, G, G) classes, some of them `UNKNOWN`."""
    scores = torch.cat([torch.zeros_like(evidence[:, :1]), evidence], dim=1)
    entropy = functional.cross_entropy(scores, classes, ignore_index=UNKNOWN)
    known = classes != UNKNOWN
    probabilities = scores.softmax(dim=1)[:, 1:] * known[:, None]
    true = functional.one_hot(classes * known, scores.shape[1]).permute(0, 3, 1, 2)[:, 1:].float()
    cells = (0, 2, 3) if dice_over == "batch" else (2, 3)
    both, all_ = (probabilities * true).sum(dim=cells), (probabilities + true).sum(dim=cells)
    return entropy + 1.0 - ((2.0 * both + SMOOTH) / (all_ + SMOOTH)).mean()


@torch.no_grad()
def decode(decoder: PixelDecoder, slices: OutlinedSlices, *, block: int = 16) -> NDArray[np.float32]:
    """(n, C, G, G) evidence."""
    on_cpu = decoder.on("cpu")
    found = []
    for start in range(0, len(slices), block):
        some = slices.only(np.arange(start, min(start + block, len(slices))))
        tokens, images = (torch.from_numpy(array.astype(np.float32)) for array in (some.tokens, some.images))
        found.append(on_cpu(tokens, images[:, None]).numpy())
    return np.concatenate(found)


def _batches(slices: SliceSource, fit: DecoderFit) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(fit.seed)
    people = slices.people
    showing, empty = (
        [np.flatnonzero(kind & (people == person)) for person in np.unique(people[kind])]
        for kind in (slices.shown, ~slices.shown)
    )
    share = fit.empty if showing and empty else float(not showing)
    for _ in range(fit.steps):
        drawn = [empty if draw < share else showing for draw in rng.random(fit.batch_size)]
        yield np.array([rng.choice(of_kind[rng.integers(len(of_kind))]) for of_kind in drawn])


def _standard(slices: SliceSource, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, of some 200 slices."""
    tokens = slices.only(np.random.default_rng(seed).permutation(len(slices))[:200]).tokens
    rows = tokens.astype(np.float32).reshape(-1, tokens.shape[2])
    return torch.from_numpy(rows.mean(axis=0)), torch.from_numpy(rows.std(axis=0) + 1e-4)
