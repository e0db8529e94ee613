"""What an encoder that never learned tells stays readable in the student's tokens."""

import numpy as np
import torch
from torch import nn

from slice_cases import body_slice, tiny_config
from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.pretraining.losses.distillation import standardised
from trainer.pretraining.model.position_table import hand_over
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.model.untrained import RetentionMaps, open_untrained
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.views.crops import make_crops

CPU = torch.device("cpu")
LOSSES = dict.fromkeys(("dino", "ibot", "koleo", "sigreg"), 0.0) | {"retention": 2.0}


def test_it_is_the_random_encoder_of_the_run_s_seed_and_never_learns() -> None:
    assert open_untrained(tiny_config(), CPU) is None
    config = tiny_config(losses=LOSSES, run={"seed": 5})
    untrained = open_untrained(config, CPU)
    assert untrained is not None
    expected = random_state(config.encoder_config, RandomEncoderSettings(seed=5))
    for name, tensor in untrained.vit.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert not any(parameter.requires_grad for parameter in untrained.parameters())


def test_it_is_the_same_encoder_in_every_stage() -> None:
    stages = [{"name": "low", "steps": 1, "global_size": 32}, {"name": "high", "steps": 1, "global_size": 64}]
    config = tiny_config(losses=LOSSES, stages=stages)
    low, high = (open_untrained(config.at_stage(stage), CPU) for stage in config.stages)
    assert low is not None
    assert high is not None
    later = high.vit.state_dict()
    for name, tensor in hand_over(low.vit.state_dict(), 8).items():
        assert torch.equal(later[name], tensor), name


def test_maps_that_answer_as_it_does_lose_nothing_and_masked_patches_are_not_asked() -> None:
    generator = torch.Generator().manual_seed(0)
    kept = torch.randn(3, 5, 8, generator=generator)
    masks = torch.zeros(3, 4, dtype=torch.bool)
    masks[0, 1] = masks[2, :2] = True
    maps = RetentionMaps(8)
    with torch.no_grad():
        for linear in (maps.of_patches, maps.of_cls):
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)
    tokens = torch.full((3, 5, 8), 100.0)
    tokens[:, 0] = standardised(kept[:, 0])
    tokens[:, 1:][~masks] = standardised(kept[:, 1:][~masks])
    assert maps(tokens, kept, masks).item() == 0.0
    tokens[1, 3] += 2.0  # Huber's distance of 2 is 1.5
    np.testing.assert_allclose(maps(tokens, kept, masks).item(), 1.5 / (~masks).sum().item(), rtol=1e-6)


def test_a_student_learns_from_it_alone() -> None:
    config = tiny_config(losses=LOSSES)
    model, untrained = StudentTeacher(config), open_untrained(config, CPU)
    batch = make_crops([body_slice(seed=seed) for seed in range(4)], config, np.random.default_rng(0))
    step = build_schedules(config, config.stages[0], global_batch_size=4).at(7)
    assert untrained is not None
    losses = model.judge(batch, step, kept=untrained(batch.global_crops)).losses
    assert losses.keys() == {"retention", "total"}
    torch.testing.assert_close(losses["total"], 2.0 * losses["retention"])
    losses["total"].backward()  # type: ignore[no-untyped-call]
    gradient = model.student.encoder.vit.patch_embed.proj.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
