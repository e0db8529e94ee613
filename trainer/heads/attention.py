"""A probe that attends: one learned query over an image's tokens, then a linear map (as in attentive probing)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EPOCHS = 60
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2

Tokens = NDArray[np.float32]


class AttentionProbe(nn.Module):
    """Weights tokens by their agreement with a learned query, and classifies the weighted mean."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(width))
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """(n, T, D) padded tokens, of which (n,) are there, to (n, C) log odds."""
        normed = self.norm(tokens)
        agreement = normed @ self.query / tokens.shape[2] ** 0.5
        padding = torch.arange(tokens.shape[1])[None] >= lengths[:, None]
        weights = agreement.masked_fill(padding, float("-inf")).softmax(dim=1)
        answers: Tensor = self.classifier((weights[..., None] * normed).sum(dim=1))
        return answers


def fit_attention(
    tokens: Sequence[Tokens], classes: NDArray[np.float64], *, num_classes: int, seed: int
) -> Callable[[Sequence[Tokens]], NDArray[np.float64]]:
    """Each class weighing the same; to (n, num_classes) probabilities.

    tokens : of each example (T, D), any number of them
    """
    torch.manual_seed(seed)
    probe = AttentionProbe(tokens[0].shape[1], num_classes)
    known, lengths = _padded(tokens)
    true = torch.from_numpy(classes.astype(np.int64))
    counts = torch.bincount(true, minlength=num_classes)
    loss = nn.CrossEntropyLoss(weight=torch.where(counts > 0, 1.0 / counts.clamp(min=1), 0.0))
    optimiser = torch.optim.AdamW(probe.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        loss(probe(known, lengths), true).backward()
        optimiser.step()

    @torch.no_grad()
    def answer(asked: Sequence[Tokens]) -> NDArray[np.float64]:
        return np.asarray(probe(*_padded(asked)).softmax(dim=1).double().numpy())

    return answer


def _padded(tokens: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(mine) for mine in tokens])
    return nn.utils.rnn.pad_sequence([torch.from_numpy(mine) for mine in tokens], batch_first=True), lengths
