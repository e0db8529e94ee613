"""The published forward pass on a series' features, a few slices at a time (modeling_dinov2.py of raidium/curia).

A head for single slices reads CLS of each, or the mean of the tokens under a mask, both after the final norm. A head
for volumes reads tokens before that norm, from slices around the middle of the mask or of the volume, with the place of
each slice added; they are averaged or attended to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from operators.heads.attention import AttentionPool, slice_positions
from operators.heads.contributions import gradient
from operators.heads.head import FeatureBlock
from operators.heads.linear import Linear
from operators.heads.published_config import PublishedRecord

MOST_TOKENS = 1 << 16
"""That a head may attend to at once: 64 slices of 1,024 tokens."""


Slopes = Mapping[int, tuple[Tensor, Tensor | None]]
"""How a logit changes with CLS, (F,), and with each token, (N, F), by slice; with no other, None with no token."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceLogits:
    """A head for single slices.

    covered : (S, N) tokens under the mask, None for a head that reads CLS
    """

    classifier: Linear
    covered: Tensor | None
    slices: list[int] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)

    def take(self, block: FeatureBlock) -> None:
        """The logits of each slice; a slice that the mask does not touch has none."""
        if self.covered is None:
            self._keep(range(block.place.start, block.place.stop), block.cls)
            return
        assert block.tokens is not None, "a head with a mask needs them"
        covered = self.covered[block.place].to(block.tokens.dtype)
        counts = covered.sum(dim=1)
        touched = torch.nonzero(counts)[:, 0]
        sums = torch.einsum("snd,sn->sd", block.tokens[touched], covered[touched])
        self._keep([block.place.start + int(k) for k in touched], sums / counts[touched, None])

    def _keep(self, slices: Sequence[int], features: Tensor) -> None:
        self.slices.extend(slices)
        self.logits.append(self.classifier(features))

    def rows(self) -> Tensor:
        """(rows, C), a row for each of *slices*."""
        return torch.cat(self.logits)

    def slopes(self, number: int, row: int) -> tuple[float, Slopes]:
        """Slopes of the logit of class *number* in a row: of CLS, or of the mean of the tokens under the mask."""
        weight, place = self.classifier.weight[number], self.slices[row]
        logit = float(self.rows()[row, number])
        if self.covered is None:
            return logit, {place: (weight, None)}
        covered = self.covered[place].to(weight.dtype)
        return logit, {place: (torch.zeros_like(weight), covered[:, None] * (weight / covered.sum()))}


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLogits:
    """A head for volumes.

    slices : that it reads, in order
    covered : (S, N) tokens under the mask, None for a head without one
    grid : rows and columns of tokens
    width : of the encoder's features
    """

    record: PublishedRecord
    classifier: Linear
    pool: AttentionPool | None
    slices: list[int]
    covered: Tensor | None
    grid: tuple[int, int]
    width: int
    tokens: list[Tensor] = field(default_factory=list)
    classes: list[Tensor] = field(default_factory=list)

    def take(self, block: FeatureBlock) -> None:
        """Keep what the head reads of the block's slices."""
        assert block.states is not None, "a head for volumes needs them"
        features = block.states[..., : self.record.num_blocks * self.width]
        for number in self.slices:
            if block.place.start <= number < block.place.stop:
                states = features[number - block.place.start]
                self.classes.append(states[0].clone())
                self.tokens.append(self._kept(states[1:], number))

    def _kept(self, tokens: Tensor, number: int) -> Tensor:
        config = self.record.config
        if self.covered is not None:
            tokens = tokens[self.covered[number]]
        elif config.kernel_size and not (config.use_avgpool_per_slice or config.use_avgpool_on_the_volume):
            square = tokens.T.reshape(1, tokens.shape[1], *self.grid)
            tokens = avg_pool2d(square, config.kernel_size)[0].flatten(1).T
        if config.use_avgpool_per_slice:
            return tokens.mean(dim=0, keepdim=True)
        if config.use_avgpool_on_the_volume:
            # A mean over all tokens of all slices: their sum and their number are enough.
            return torch.stack([tokens.sum(dim=0), torch.full_like(tokens[0], len(tokens))])
        return tokens.clone()

    def rows(self) -> Tensor:
        """(rows, C): one row, or one for each slice where slices are averaged and nothing pools them."""
        return self._logits(self.gathered())

    def _logits(self, gathered: Tensor, *, frozen: bool = False) -> Tensor:
        rows = gathered if self.pool is None else self.pool(gathered, frozen=frozen)[None]
        return self.classifier(rows)  # type: ignore[no-any-return]

    def gathered(self) -> Tensor:
        """(T, F): what is pooled, or classified row by row where nothing pools."""
        config = self.record.config
        if config.use_avgpool_per_slice:
            return self._per_slice()
        if config.use_avgpool_on_the_volume:
            return self._of_the_volume()[None]
        return self.all_tokens()

    def slopes(self, number: int, row: int) -> tuple[float, Slopes]:
        """Slopes of the logit of class *number* in a row; tokens that the head does not read have the slope 0."""
        logit, slope = gradient(lambda gathered: self._logits(gathered, frozen=True)[row, number], self.gathered())
        of_cls, of_tokens = self._slopes_by_slice(slope)
        return logit, dict(zip(self.slices, zip(of_cls, of_tokens, strict=True), strict=True))

    def _slopes_by_slice(self, slope: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        config, width = self.record.config, self.record.num_blocks * self.width
        if config.use_avgpool_per_slice or config.use_avgpool_on_the_volume:
            return self._slopes_of_means(slope, width)
        of_cls, of_tokens, at = [], [], 0
        for place, tokens in enumerate(self.tokens):
            of_cls.append(slope[at] if config.use_class_token else torch.zeros(width))
            at += config.use_class_token
            of_tokens.append(self._spread(slope[at : at + len(tokens)], self.slices[place]))
            at += len(tokens)
        return of_cls, of_tokens

    def _slopes_of_means(self, slope: Tensor, width: int) -> tuple[list[Tensor], list[Tensor]]:
        """Where tokens are averaged, each has its part of the mean's slope."""
        config, count = self.record.config, len(self.slices)
        per_slice = config.use_avgpool_per_slice
        rows = slope if per_slice else slope.expand(count, -1)
        sizes = [self._num_read(number) for number in self.slices]
        of_cls, of_tokens = [], []
        for row, size, number in zip(rows, sizes, self.slices, strict=True):
            class_part = row[:width] / (1 if per_slice else count) if config.use_class_token else torch.zeros(width)
            of_cls.append(class_part)
            token = row[-width:] / (size if per_slice else sum(sizes))
            of_tokens.append(self._spread(token.expand(size, -1), number))
        return of_cls, of_tokens

    def _num_read(self, number: int) -> int:
        return self.grid[0] * self.grid[1] if self.covered is None else int(self.covered[number].sum())

    def _spread(self, slope: Tensor, number: int) -> Tensor:
        """(N, F) of all tokens of a slice from those that were read, or from the pools that they went into."""
        if self.covered is not None:
            whole = slope.new_zeros(self.grid[0] * self.grid[1], slope.shape[1])
            whole[self.covered[number]] = slope
            return whole
        kernel = self.record.config.kernel_size or 1
        if len(slope) == self.grid[0] * self.grid[1]:
            return slope
        square = slope.T.reshape(slope.shape[1], self.grid[0] // kernel, self.grid[1] // kernel) / kernel**2
        full = square.repeat_interleave(kernel, dim=1).repeat_interleave(kernel, dim=2)
        whole = slope.new_zeros(slope.shape[1], *self.grid)
        # A last strip of tokens that fills no pool is read by none.
        whole[:, : full.shape[1], : full.shape[2]] = full
        return whole.flatten(1).T

    def all_tokens(self) -> Tensor:
        """(T, F): tokens of all slices with their slice's place, each slice's class token first where it is used."""
        places = self._places()
        parts = []
        for tokens, class_token, place in zip(self.tokens, self.classes, places, strict=True):
            if self.record.config.use_class_token:
                parts.append((class_token + place)[None])
            parts.append(tokens + place)
        return torch.cat(parts)

    def _per_slice(self) -> Tensor:
        means, places = torch.cat(self.tokens), self._places()
        if not self.record.config.use_class_token:
            return means + places
        return torch.cat([torch.stack(self.classes) + places, means + places], dim=1)

    def _of_the_volume(self) -> Tensor:
        sums = torch.stack(self.tokens).sum(dim=0)
        mean = sums[0] / sums[1]
        if not self.record.config.use_class_token:
            return mean
        return torch.cat([torch.stack(self.classes).mean(dim=0), mean])

    def _places(self) -> Tensor:
        first = self.classes[0]
        return slice_positions(len(self.slices), len(first)).to(first.device)


def chosen_slices(num_slices: int | None, available: int, covered: NDArray[np.bool_] | None) -> list[int]:
    """Which slices a head for volumes reads: all, or *num_slices* around the middle, without those outside the mask.

    The published code counts from the end where the range begins before the first slice; here it ends there.

    available : slices of the series
    covered : (S, N) tokens under the mask, None without one
    """
    touched: NDArray[np.bool_] = np.ones(available, np.bool_) if covered is None else covered.max(axis=1)
    if num_slices is None:
        return [int(number) for number in np.flatnonzero(touched)]
    inside = np.flatnonzero(touched)
    middle = available // 2 if covered is None else int(inside[(len(inside) - 1) // 2])
    start = middle - num_slices // 2
    return [number for number in range(max(start, 0), min(start + num_slices, available)) if touched[number]]
