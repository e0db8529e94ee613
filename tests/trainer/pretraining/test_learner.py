"""What a step does with the gradients: clipping, and each group's rate and decay."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from slice_cases import joined_batch, tiny_config
from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.learner import Learner
from trainer.pretraining.processes import Processes, join_processes
from trainer.pretraining.schedules import StepSettings

STEP = StepSettings(step=3, lr=1e-3, prototype_lr=1e-3, weight_decay=0.0, momentum=0.9, teacher_temperature=0.05)
LOUD = 1e-5
"""A gradient beside which AdamW's epsilon, 1e-8, is nothing."""


@pytest.fixture(scope="module")
def alone() -> Iterator[Processes]:
    with join_processes() as processes:
        yield processes


def config(clip: float = 1e9) -> PretrainingConfig:
    return tiny_config(run={"precision": "fp32"}, optimiser={"clip": clip}, masking={"probability": 1.0})


def steps(learner: Learner, settings: StepSettings) -> tuple[float, dict[str, Tensor]]:
    """The norm that a step tells, and how far each parameter moved in it."""
    before = {name: parameter.detach().clone() for name, parameter in learner.model.student.named_parameters()}
    norm = learner.step(joined_batch(config()), settings).gradient_norm
    return norm, {name: p.detach() - before[name] for name, p in learner.model.student.named_parameters()}


def test_encoder_and_heads_are_clipped_each_by_itself(alone: Processes) -> None:
    """The norm that is told is the one before."""
    free, clipped = Learner(config(), alone), Learner(config(clip=0.05), alone)
    (norm, _), (norm_again, _) = steps(free, STEP), steps(clipped, STEP)
    assert norm == norm_again
    parts = zip(free.model.student.children(), clipped.model.student.children(), strict=True)
    for whole, cut in parts:
        grads, cut_grads = ([p.grad for p in part.parameters() if p.grad is not None] for part in (whole, cut))
        length = torch.linalg.vector_norm(torch.cat([grad.flatten() for grad in grads]))
        assert length > 0.05
        for grad, cut_grad in zip(grads, cut_grads, strict=True):
            torch.testing.assert_close(cut_grad, grad * 0.05 / length, rtol=1e-4, atol=1e-9)


def test_a_first_step_is_as_long_as_its_group_s_rate(alone: Processes) -> None:
    """AdamW's first step is the rate times the gradient's sign."""
    learner = Learner(config(), alone)
    _, moved = steps(learner, replace(STEP, prototype_lr=0.0))
    seen = set()
    for name, parameter in learner.model.student.named_parameters():
        assert parameter.grad is not None
        rate = 0.2e-3 if "patch_embed" in name else 0.0 if name.endswith("prototypes") else 1e-3
        loud = parameter.grad.abs() > LOUD
        expected = -rate * parameter.grad.sign()
        torch.testing.assert_close(moved[name][loud], expected[loud], rtol=2e-2, atol=1e-7, msg=name)
        seen |= {rate} if loud.any() else set()
    assert seen == {0.2e-3, 0.0, 1e-3}


def test_decay_shortens_matrices_alone(alone: Processes) -> None:
    plain, decayed = Learner(config(), alone), Learner(config(), alone)
    start = {name: parameter.detach().clone() for name, parameter in plain.model.student.named_parameters()}
    (_, moved), (_, moved_further) = steps(plain, STEP), steps(decayed, replace(STEP, weight_decay=0.5))
    for name, parameter in start.items():
        rate = 0.2e-3 if "patch_embed" in name else 1e-3
        shortened = not (name.endswith((".bias", ".gamma")) or "norm" in name)
        expected = -rate * 0.5 * parameter if shortened else torch.zeros_like(parameter)
        torch.testing.assert_close(moved_further[name] - moved[name], expected, rtol=1e-3, atol=5e-7, msg=name)
