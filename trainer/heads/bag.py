"""Gated attention over a bag of instances, fitted (Ilse 2018); `operators.heads.instance_attention` reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.heads.instance_attention import Bag, Gate
from operators.heads.linear import Linear
from trainer.heads.objectives import Objective
from trainer.heads.optimising import Optimiser, minimise

Tensors = Mapping[str, NDArray[np.float32]]
Floats = NDArray[np.float64]

MAPS = ("tanh", "sigmoid", "score", "classifier")


@dataclass(frozen=True, slots=True, eq=False)
class BagFit:
    """A fitted head. tensors : as the head's file names them"""

    tensors: Tensors
    epochs: int
    held_out_loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Bags of instances and what is told of each bag.

    instances : of each example (n, D), any number of them; targets, weights : see `trainer.heads.objectives`
    """

    instances: Sequence[NDArray[np.float32]]
    targets: Floats
    weights: Floats

    def of(self, rows: NDArray[np.int64]) -> "Bags":
        return Bags([self.instances[row] for row in rows], self.targets[rows], self.weights[rows])


def fit_bag(
    bags: Bags,
    objective: Objective,
    settings: Optimiser,
    *,
    num_outputs: int,
    hidden: int,
    penalty: float,
    seed: int,
    held_out: Bags | None = None,
) -> BagFit:
    """Fit gate and classifier together, on instances that are centred and scaled by one number.

    hidden : width of the gate
    """
    mean = np.mean([shown.mean(axis=0, dtype=np.float64) for shown in bags.instances], axis=0).astype(np.float32)
    scale = float(np.sqrt(np.mean([((shown - mean) ** 2).mean(dtype=np.float64) for shown in bags.instances]))) or 1.0
    generator = torch.Generator().manual_seed(seed)
    parameters = _first_parameters(len(mean), hidden, num_outputs, generator)

    def outputs(shown: Bags, rows: Sequence[int]) -> Tensor:
        return torch.stack(
            [_answer(parameters, torch.from_numpy((shown.instances[row] - mean) / scale)) for row in rows]
        )

    def loss_of(shown: Bags, rows: Sequence[int]) -> Tensor:
        targets, weights = (torch.from_numpy(part[list(rows)]).float() for part in (shown.targets, shown.weights))
        return objective(outputs(shown, rows), targets, weights)

    every = range(len(bags.instances))
    epochs, held_out_loss = minimise(
        list(parameters.values()),
        lambda batch: loss_of(bags, every if batch is None else batch.tolist()),
        settings,
        num_examples=len(bags.instances),
        penalised=[parameters[f"{name}.weight"] for name in MAPS],
        penalty=penalty,
        seed=seed,
        held_out=(lambda: float(loss_of(held_out, range(len(held_out.instances))))) if held_out is not None else None,
    )
    return BagFit(_for_raw_instances(parameters, mean, scale), epochs, held_out_loss)


def answer_bag(tensors: Tensors, instances: NDArray[np.float32]) -> Floats:
    """(C,) scores of a bag (n, D)."""
    with torch.no_grad():
        parameters = {name: torch.from_numpy(np.asarray(tensor, np.float32)) for name, tensor in tensors.items()}
        return np.asarray(_answer(parameters, torch.from_numpy(instances)).double().numpy())


def _answer(parameters: Mapping[str, Tensor], instances: Tensor) -> Tensor:
    maps = {name: Linear(parameters[f"{name}.weight"], parameters[f"{name}.bias"]) for name in MAPS}
    bag = Bag()
    bag.put(instances, Gate(maps["tanh"], maps["sigmoid"], maps["score"])(instances))
    answer: Tensor = maps["classifier"](bag.mean())
    return answer


def _first_parameters(width: int, hidden: int, num_outputs: int, generator: torch.Generator) -> dict[str, Tensor]:
    shapes = {
        "tanh": (hidden, width),
        "sigmoid": (hidden, width),
        "score": (1, hidden),
        "classifier": (num_outputs, width),
    }
    parameters: dict[str, Tensor] = {}
    for name, (rows, columns) in shapes.items():
        drawn = torch.randn(rows, columns, generator=generator) / columns**0.5
        # Every class begins alike, and so does every instance's weight, nearly.
        parameters[f"{name}.weight"] = (0 * drawn if name == "classifier" else drawn).requires_grad_()
        parameters[f"{name}.bias"] = torch.zeros(rows, requires_grad=True)
    return parameters


def _for_raw_instances(parameters: Mapping[str, Tensor], mean: NDArray[np.float32], scale: float) -> Tensors:
    """The same maps for instances as the encoder gives them: a bag's mean is centred and scaled as they are."""
    tensors = {name: parameter.detach().double().numpy() for name, parameter in parameters.items()}
    for name in ("tanh", "sigmoid", "classifier"):
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"] / scale
        tensors[f"{name}.bias"] = tensors[f"{name}.bias"] - tensors[f"{name}.weight"] @ mean
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
