"""Fitting the small convolutional decoder of `operators.heads.decoder` on frozen features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from operators.heads.decoder import Decoder
from operators.heads.linear import Linear, Tensors

SMOOTH = 1.0
"""Cells that soft Dice adds above and below, so that a batch without a class asks for none of it."""

UNKNOWN = 255
"""Class of cells of which nobody knows what they show; they count for nothing."""


@dataclass(frozen=True, slots=True)
class DecoderFit:
    """How a decoder is fitted.

    levels : times that the grid of tokens is doubled
    hidden : channels
    steps, batch_size : of AdamW with a learning rate that falls as a half cosine
    dropout : share of the encoder's features that are left out of a slice
    """

    levels: int = 2
    hidden: int = 24
    steps: int = 500
    batch_size: int = 8
    lr: float = 4e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedSlices:
    """Slices with what is to be outlined in them.

    tokens : (n, N, D), any float type
    images : (n, P, P), what the encoder saw, or that averaged to the decoder's finest grid
    classes : (n, G, G) uint8, 0 for background, `UNKNOWN` for what does not count, on that grid, G = 2 ** levels *
        sqrt(N)
    people : (n,) names, whose each slice is
    """

    tokens: NDArray[Any]
    images: NDArray[Any]
    classes: NDArray[np.uint8]
    people: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n,) whether there is anything to outline."""
        known = (self.classes > 0) & (self.classes != UNKNOWN)
        return np.asarray(known.reshape(len(self), -1).any(axis=1))

    def only(self, chosen: NDArray[Any]) -> "OutlinedSlices":
        """Those at the places *chosen*."""
        return OutlinedSlices(self.tokens[chosen], self.images[chosen], self.classes[chosen], self.people[chosen])


class SliceSource(Protocol):
    """Slices that need not be in memory together."""

    def __len__(self) -> int: ...

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(n,) whether there is anything to outline."""

    @property
    def people(self) -> NDArray[np.str_]:
        """(n,) names, whose each slice is."""

    def only(self, chosen: NDArray[Any]) -> OutlinedSlices:
        """Those at the places *chosen*."""


def fit_decoder(slices: SliceSource, fit: DecoderFit, *, num_classes: int) -> Decoder:
    """Cross-entropy and soft Dice (Milletari et al. 2016) of all cells of a batch.

    Slices with and without anything to outline come equally often, where there are both, and so do people,
    however many slices they have.
    """
    generator = torch.Generator().manual_seed(fit.seed)
    mean, scale = _standard(slices, fit.seed)
    width = len(mean)
    maps: tuple[nn.Linear, nn.Linear] = (nn.Linear(width, fit.hidden), nn.Linear(fit.hidden, num_classes))
    levels = [nn.Conv2d(fit.hidden + 1, fit.hidden, 3) for _ in range(fit.levels)]
    modules: list[nn.Linear | nn.Conv2d] = [*maps, *levels]
    for module in modules:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
    narrow, classes = maps
    decoder = Decoder(_as_linear(narrow), tuple(map(_as_linear, levels)), _as_linear(classes))
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=fit.lr, weight_decay=fit.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fit.steps)
    torch.manual_seed(fit.seed)
    for chosen in _batches(slices, fit):
        batch = slices.only(chosen)
        tokens = (torch.from_numpy(batch.tokens.astype(np.float32)) - mean) / scale
        # Whole channels are dropped: a decoder that leans on a few of them knows few patients by heart.
        tokens = functional.dropout1d(tokens.mT, fit.dropout).mT
        images = torch.from_numpy(batch.images.astype(np.float32))[:, None]
        evidence = decoder(tokens, images)
        loss = outline_loss(evidence, torch.from_numpy(batch.classes).long())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return _finished(decoder, mean, scale)


def outline_loss(evidence: Tensor, classes: Tensor) -> Tensor:
    """The loss of (n, C, G, G) evidence, background having 0, and (n, G, G) classes, some of them `UNKNOWN`."""
    scores = torch.cat([torch.zeros_like(evidence[:, :1]), evidence], dim=1)
    entropy = functional.cross_entropy(scores, classes, ignore_index=UNKNOWN)
    known = classes != UNKNOWN
    probabilities = scores.softmax(dim=1)[:, 1:] * known[:, None]
    true = functional.one_hot(classes * known, scores.shape[1]).permute(0, 3, 1, 2)[:, 1:].float()
    both, all_ = (probabilities * true).sum(dim=(0, 2, 3)), (probabilities + true).sum(dim=(0, 2, 3))
    return entropy + 1.0 - ((2.0 * both + SMOOTH) / (all_ + SMOOTH)).mean()


@torch.no_grad()
def decode(decoder: Decoder, slices: OutlinedSlices, *, block: int = 16) -> NDArray[np.float32]:
    """(n, C, G, G) evidence."""
    on_cpu = decoder.on("cpu")
    found = []
    for start in range(0, len(slices), block):
        some = slices.only(np.arange(start, min(start + block, len(slices))))
        tokens, images = (torch.from_numpy(array.astype(np.float32)) for array in (some.tokens, some.images))
        found.append(on_cpu(tokens, images[:, None]).numpy())
    return np.concatenate(found)


def decoder_tensors(decoder: Decoder) -> Tensors:
    """The decoder's tensors, as they are called in a head's file."""
    parts = {"narrow": decoder.narrow, "classes": decoder.classes}
    parts |= {f"level{number}": level for number, level in enumerate(decoder.levels, start=1)}
    return {f"{name}.{kind}": tensor for name, linear in parts.items() for kind, tensor in linear.tensors.items()}


def _batches(slices: SliceSource, fit: DecoderFit) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(fit.seed)
    shown, people = slices.shown, slices.people
    kinds = [
        [np.flatnonzero(kind & (people == person)) for person in np.unique(people[kind])]
        for kind in (shown, ~shown)
        if kind.any()
    ]
    for _ in range(fit.steps):
        drawn = [kinds[pick] for pick in rng.integers(len(kinds), size=fit.batch_size)]
        yield np.array([rng.choice(of_kind[rng.integers(len(of_kind))]) for of_kind in drawn])


def _standard(slices: SliceSource, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, of some 200 slices."""
    tokens = slices.only(np.random.default_rng(seed).permutation(len(slices))[:200]).tokens
    rows = tokens.astype(np.float32).reshape(-1, tokens.shape[2])
    return torch.from_numpy(rows.mean(axis=0)), torch.from_numpy(rows.std(axis=0) + 1e-4)


def _as_linear(module: nn.Linear | nn.Conv2d) -> Linear:
    return Linear(module.weight, module.bias)


def _finished(decoder: Decoder, mean: Tensor, scale: Tensor) -> Decoder:
    """The same for features as the encoder gives them, as NumPy arrays."""
    weight = decoder.narrow.weight / scale
    narrow = Linear(weight, decoder.narrow.bias - weight @ mean)
    plain = [
        Linear(*(tensor.detach().numpy() for tensor in (part.weight, part.bias)))
        for part in (narrow, *decoder.levels, decoder.classes)
    ]
    return Decoder(plain[0], tuple(plain[1:-1]), plain[-1])
