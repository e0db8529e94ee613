"""An affine map of features fitted to any objective: linear, multi-label, ordinal, regression and Cox heads are one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from operators.heads.linear import Linear
from trainer.heads.objectives import Objective
from trainer.heads.optimising import Optimiser, minimise

Features = NDArray[np.float32]
Floats = NDArray[np.float64]

Bias = Literal["free", "ordered", "none"]
"""One for each row of weights; falling ones that share one row; none at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What is fitted on.

    features : (n, F)
    targets, weights : (n, T), see `trainer.heads.objectives`
    """

    features: Features
    targets: Floats
    weights: Floats

    def of(self, rows: NDArray[np.int64]) -> "Examples":
        return Examples(self.features[rows], self.targets[rows], self.weights[rows])


@dataclass(frozen=True, slots=True, eq=False)
class AffineFit:
    """A fitted linear map.

    linear : of features as the encoder gives them
    held_out_loss : infinite where nothing was held out
    """

    linear: Linear
    epochs: int
    held_out_loss: float


def fit_affine(
    examples: Examples,
    objective: Objective,
    settings: Optimiser,
    *,
    num_outputs: int,
    penalty: float,
    seed: int,
    bias: Bias = "free",
    held_out: Examples | None = None,
) -> AffineFit:
    """Fit on standardised features; a constant one is only centred.

    num_outputs : of the head; "ordered" biases share one row of weights
    penalty : on half the squared weights of standardised features
    held_out : that tell when to stop
    """
    mean = examples.features.mean(axis=0, dtype=np.float64)
    scale = examples.features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    rows = 1 if bias == "ordered" else num_outputs
    weight = torch.zeros(rows, len(mean), requires_grad=True)
    # Of ordered ones the first, then by how much each next one is smaller, before softplus.
    offsets = torch.zeros(num_outputs, requires_grad=bias != "none")
    parameters = [weight] if bias == "none" else [weight, offsets]

    def outputs(features: Tensor) -> Tensor:
        return features @ weight.T + _bias(offsets, bias)

    def loss_of(shown: Examples) -> tuple[Tensor, Tensor, Tensor]:
        standard = shown.features - mean.astype(np.float32)
        standard /= scale.astype(np.float32)
        return (
            torch.from_numpy(standard),
            torch.from_numpy(shown.targets).float(),
            torch.from_numpy(shown.weights).float(),
        )

    known, targets, weights = loss_of(examples)

    def loss(batch: Tensor | None) -> Tensor:
        if batch is None:
            return objective(outputs(known), targets, weights)
        return objective(outputs(known[batch]), targets[batch], weights[batch])

    watched = loss_of(held_out) if held_out is not None else None
    epochs, held_out_loss = minimise(
        parameters,
        loss,
        settings,
        num_examples=len(known),
        penalised=[weight],
        penalty=penalty,
        seed=seed,
        held_out=(lambda: float(objective(outputs(watched[0]), *watched[1:]))) if watched is not None else None,
    )
    raw = weight.detach().double().numpy() / scale
    shift = _bias(offsets, bias).detach().double().numpy() - raw @ mean
    if bias == "none":
        shift = np.zeros(num_outputs)
    return AffineFit(Linear(raw.astype(np.float32), shift.astype(np.float32)), epochs, held_out_loss)


def _bias(offsets: Tensor, bias: Bias) -> Tensor:
    if bias != "ordered":
        return offsets
    return torch.cat([offsets[:1], offsets[:1] - torch.cumsum(softplus(offsets[1:]), dim=0)])
