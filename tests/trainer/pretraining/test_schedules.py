import math

import numpy as np
import pytest

from slice_cases import tiny_config
from trainer.pretraining.config import StageSettings
from trainer.pretraining.schedules import build_schedules, cosine, linear

OPTIMISER: dict[str, object] = {
    "lr": 8e-4,
    "min_lr": 1e-6,
    "batch_reference": 1024,
    "warmup": 0.1,
    "frozen_prototypes": 0.05,
}


def test_lr_rises_linearly_and_falls_by_half_a_cosine() -> None:
    config = tiny_config(optimiser=OPTIMISER)
    lr = build_schedules(config, config.stages[0], global_batch_size=256).lr
    peak = 8e-4 * math.sqrt(256 / 1024)
    assert len(lr) == 40
    np.testing.assert_allclose(lr[:5], [0, peak / 4, peak / 2, 3 * peak / 4, peak])
    expected = [1e-6 + (peak - 1e-6) * (1 + math.cos(math.pi * i / 36)) / 2 for i in range(36)]
    np.testing.assert_allclose(lr[4:], expected)


def test_prototypes_wait_and_then_learn_as_the_others() -> None:
    config = tiny_config(optimiser=OPTIMISER)
    schedules = build_schedules(config, config.stages[0], global_batch_size=1024)
    assert schedules.prototype_lr[:2].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(schedules.prototype_lr[2:], schedules.lr[2:])


def test_decay_momentum_and_temperature() -> None:
    config = tiny_config(
        optimiser={"weight_decay": (0.04, 0.2), "momentum": (0.99, 1.0)},
        losses={"teacher_temperature": (0.04, 0.07), "teacher_temperature_warmup": 0.25},
    )
    schedules = build_schedules(config, config.stages[0], global_batch_size=8)
    assert schedules.weight_decay[0] == pytest.approx(0.04)
    assert schedules.weight_decay[20] == pytest.approx(0.12)
    assert schedules.momentum[20] == pytest.approx(0.995)
    assert schedules.momentum[-1] < 1.0
    np.testing.assert_allclose(schedules.teacher_temperature[:10], 0.04 + 0.003 * np.arange(10))
    np.testing.assert_allclose(schedules.teacher_temperature[10:], 0.07)


def test_a_stage_runs_them_anew_at_its_own_rate() -> None:
    stages = (StageSettings(name="low", steps=30), StageSettings(name="high", steps=10, lr_factor=0.1))
    config = tiny_config(optimiser=OPTIMISER | {"min_lr": 0.0}).model_copy(update={"stages": stages})
    low, high = (build_schedules(config, stage, global_batch_size=1024) for stage in config.stages)
    assert (len(low.lr), len(high.lr)) == (30, 10)
    assert high.lr.max() == pytest.approx(0.1 * low.lr.max())
    assert high.at(0).momentum == low.at(0).momentum
    assert high.at(3).step == 3


def test_parts_may_be_empty() -> None:
    assert linear(0.0, 1.0, 0).shape == cosine(1.0, 0.0, 0).shape == (0,)
    config = tiny_config(optimiser={"warmup": 1.0, "frozen_prototypes": 0.0})
    schedules = build_schedules(config, config.stages[0], global_batch_size=8)
    assert len(schedules.lr) == 40
    np.testing.assert_array_equal(schedules.lr, schedules.prototype_lr)
