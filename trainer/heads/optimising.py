"""Making a mean loss small by L-BFGS, AdamW or SGD, and stopping where held-out examples stop gaining."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from operators.heads.records import Record

Loss = Callable[[Tensor | None], Tensor]
"""Numbers of the examples to their mean loss; None stands for all of them."""


class Optimiser(Record):
    """How a fit looks for its weights.

    optimiser : "lbfgs" sees all examples in each step, the others a batch of them
    epochs : steps of L-BFGS, or passes over all examples, at most
    learning_rate : of AdamW and SGD
    batch_size : of AdamW and SGD
    patience : epochs without a gain on held-out patients after which a fit stops; 0 never stops early
    """

    optimiser: Literal["lbfgs", "adamw", "sgd"] = "lbfgs"
    epochs: int = Field(200, ge=1)
    learning_rate: float = Field(0.01, gt=0)
    batch_size: int = Field(256, ge=1)
    patience: int = Field(0, ge=0)


class _Watch:
    """The parameters with the smallest held-out loss so far."""

    def __init__(self, parameters: Sequence[Tensor], held_out: Callable[[], float] | None, patience: int) -> None:
        self.parameters, self.held_out, self.patience = parameters, held_out, patience
        self.epoch, self.best_epoch, self.best_loss = 0, 0, float("inf")
        self.best: list[Tensor] = []

    def should_stop(self) -> bool:
        """Whether to stop; to be asked after each epoch."""
        self.epoch += 1
        if self.held_out is None:
            self.best_epoch = self.epoch
            return False
        with torch.no_grad():
            loss = self.held_out()
        if loss < self.best_loss or not self.patience:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = [parameter.detach().clone() for parameter in self.parameters]
        return 0 < self.patience <= self.epoch - self.best_epoch

    def restore(self) -> None:
        with torch.no_grad():
            for parameter, best in zip(self.parameters, self.best, strict=False):
                parameter.copy_(best)


def minimise(
    parameters: Sequence[Tensor],
    loss: Loss,
    settings: Optimiser,
    *,
    num_examples: int,
    penalised: Sequence[Tensor],
    penalty: float,
    seed: int,
    held_out: Callable[[], float] | None = None,
) -> tuple[int, float]:
    """Change *parameters* in place; the epochs that were good for them, and their held-out loss (infinite without one).

    penalised : those of the parameters whose squares, halved and times *penalty*, are added (AdamW: are decayed by it)
    held_out : loss of the examples that decide when to stop; the parameters end as they were best for them
    """
    watch = _Watch(parameters, held_out, settings.patience)
    if settings.optimiser == "lbfgs":
        _minimise_all_at_once(parameters, loss, settings, watch, penalised=penalised, penalty=penalty)
    else:
        _minimise_in_batches(
            parameters,
            loss,
            settings,
            watch,
            num_examples=num_examples,
            penalised=penalised,
            penalty=penalty,
            seed=seed,
        )
    watch.restore()
    return watch.best_epoch, watch.best_loss


def _minimise_all_at_once(
    parameters: Sequence[Tensor],
    loss: Loss,
    settings: Optimiser,
    watch: _Watch,
    *,
    penalised: Sequence[Tensor],
    penalty: float,
) -> None:
    def put(flat: NDArray[np.float64]) -> None:
        start = 0
        with torch.no_grad():
            for parameter in parameters:
                part = flat[start : start + parameter.numel()]
                parameter.copy_(torch.from_numpy(part).reshape(parameter.shape))
                start += parameter.numel()

    def value_and_slope(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        put(flat)
        with torch.enable_grad():
            value = loss(None) + 0.5 * penalty * sum(parameter.square().sum() for parameter in penalised)
            slopes = torch.autograd.grad(value, parameters)
        return float(value.detach()), np.concatenate([slope.double().cpu().numpy().ravel() for slope in slopes])

    def after_step(intermediate_result: OptimizeResult) -> None:
        put(intermediate_result.x)
        if watch.should_stop():
            raise StopIteration

    start = np.concatenate([parameter.detach().double().cpu().numpy().ravel() for parameter in parameters])
    options = {"maxiter": settings.epochs, "ftol": 1e-9, "gtol": 1e-6}
    put(minimize(value_and_slope, start, jac=True, method="L-BFGS-B", callback=after_step, options=options).x)


def _minimise_in_batches(
    parameters: Sequence[Tensor],
    loss: Loss,
    settings: Optimiser,
    watch: _Watch,
    *,
    num_examples: int,
    penalised: Sequence[Tensor],
    penalty: float,
    seed: int,
) -> None:
    named = {id(parameter) for parameter in penalised}
    groups = [
        {"params": list(penalised), "weight_decay": penalty},
        {"params": [parameter for parameter in parameters if id(parameter) not in named], "weight_decay": 0.0},
    ]
    optimiser: torch.optim.Optimizer
    if settings.optimiser == "adamw":
        optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
    else:
        optimiser = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.epochs):
        for batch in _batches(num_examples, settings.batch_size, generator):
            with torch.enable_grad():
                optimiser.zero_grad()
                loss(batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if watch.should_stop():
            return


def _batches(num_examples: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.randperm(num_examples, generator=generator).split(size)  # type: ignore[no-untyped-call]
