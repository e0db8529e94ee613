import math

import pytest
import torch
from torch import Tensor

from trainer.pretraining.losses.dino import cross_entropy, dino_loss

TEMPERATURE = 0.1


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def targets(*shape: int) -> Tensor:
    return draw(*shape, seed=9).softmax(dim=-1)


def pair_loss(scores: Tensor, target: Tensor) -> float:
    """-sum_k t_k log p_k, p = softmax(s / temperature), for one row, in plain Python."""
    exponentials = [math.exp(float(score) / TEMPERATURE) for score in scores]
    total = sum(exponentials)
    return -sum(float(t) * math.log(e / total) for t, e in zip(target, exponentials, strict=True))


def test_cross_entropy_is_its_formula() -> None:
    scores, target = draw(4, 7), targets(4, 7)
    expected = [pair_loss(s, t) for s, t in zip(scores, target, strict=True)]
    torch.testing.assert_close(cross_entropy(scores, target, temperature=TEMPERATURE), torch.tensor(expected))


@pytest.mark.parametrize("num_local", [0, 1, 3])
def test_every_student_view_meets_every_other_teacher_view(num_local: int) -> None:
    """DINOv2: mean over 2 pairs of global views and 2 n pairs of a local and a global one, each a mean over slices."""
    student, local, teacher = draw(2, 5, 7), draw(num_local, 5, 7, seed=1), targets(2, 5, 7)
    pairs = [(student[0], teacher[1]), (student[1], teacher[0])]
    pairs += [(view, target) for view in local for target in teacher]
    means = [sum(pair_loss(s, t) for s, t in zip(*pair, strict=True)) / 5 for pair in pairs]
    loss = dino_loss(student, local, teacher, temperature=TEMPERATURE)
    assert float(loss) == pytest.approx(sum(means) / len(means), rel=1e-5)


def test_a_student_that_answers_as_the_teacher_has_the_teacher_s_entropy() -> None:
    target = targets(2, 5, 7)
    same = target.flip(0).log() * TEMPERATURE
    entropy = -(target * target.log()).sum(-1).mean()
    torch.testing.assert_close(dino_loss(same, draw(0, 5, 7), target, temperature=TEMPERATURE), entropy)
