"""What an encoder that never learned tells stays readable in the student's tokens."""

import numpy as np
import pytest
import torch

from slice_cases import body_slice, tiny_config
from trainer.pretraining.model.position_table import hand_over
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.model.untrained import Retention, open_untrained
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.views.crops import make_crops

CPU = torch.device("cpu")
LOSSES = dict.fromkeys(("dino", "ibot", "koleo", "sigreg"), 0.0) | {"retention": 2.0}
MODEL = {"initial": "random-features"}


def test_it_is_what_the_run_began_with_and_never_learns() -> None:
    assert open_untrained(tiny_config(), CPU) is None
    config = tiny_config(losses=LOSSES, model=MODEL, run={"seed": 5})
    untrained = open_untrained(config, CPU)
    assert untrained is not None
    expected = StudentTeacher(config).student.encoder.snapshot_state()
    for name, tensor in untrained.vit.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert not any(parameter.requires_grad for parameter in untrained.parameters())


def test_it_is_the_same_encoder_in_every_stage() -> None:
    stages = [{"name": "low", "steps": 1, "global_size": 32}, {"name": "high", "steps": 1, "global_size": 64}]
    config = tiny_config(losses=LOSSES, model=MODEL, stages=stages)
    low, high = (open_untrained(config.at_stage(stage), CPU) for stage in config.stages)
    assert low is not None
    assert high is not None
    later = high.vit.state_dict()
    for name, tensor in hand_over(low.vit.state_dict(), 8).items():
        assert torch.equal(later[name], tensor), name


def test_a_student_that_stayed_what_it_was_loses_nothing_and_masked_patches_are_not_asked() -> None:
    kept = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 4, dtype=torch.bool)
    masks[0, 1] = masks[2, :2] = True
    tokens = kept.clone()
    tokens[:, 1:][masks] = 100.0
    np.testing.assert_allclose(Retention(8)(tokens, kept, masks).item(), 0.0, atol=1e-9)
    tokens[1, 0] += 1.0  # CLS of the crop without a mask
    assert Retention(8)(tokens, kept, masks).item() > 0.1


def test_a_linear_map_of_the_patches_may_change_but_not_their_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    kept, masks = torch.randn(64, 5, 8, generator=generator), torch.zeros(64, 4, dtype=torch.bool)
    around = kept[:, 1:] - kept[:, 1:].mean(dim=1, keepdim=True)
    turned = kept.clone()
    turned[:, 1:] += around  # twice as far from their mean
    apart = Retention(8)
    before = apart(turned, kept, masks).item()
    moved = turned.clone()
    moved[:, 1:] += 1.0
    assert apart(moved, kept, masks).item() > before + 0.1


def test_the_covariance_is_the_mean_of_the_batches_in_half_precision_too() -> None:
    generator = torch.Generator().manual_seed(0)
    apart, batches = Retention(4), torch.randn(3, 16, 5, 4, generator=generator)
    for kept in batches:
        with torch.autocast("cpu", torch.bfloat16):
            apart(kept, kept, torch.zeros(16, 4, dtype=torch.bool))
    of_image = np.concatenate([batches[:, :, 0].numpy(), batches[:, :, 1:].mean(dim=2).numpy()], axis=-1)
    expected = np.mean([np.cov(one, rowvar=False, bias=True) for one in of_image], axis=0)
    np.testing.assert_allclose(apart.covariance.numpy(), expected, atol=1e-6)


def test_retention_asks_for_the_start_that_it_keeps() -> None:
    with pytest.raises(ValueError, match="model.initial: expected 'random-features' with losses.retention"):
        tiny_config(losses=LOSSES)


def test_a_student_begins_as_what_it_keeps_and_is_told_once_it_has_moved() -> None:
    config = tiny_config(losses=LOSSES, model=MODEL)
    model, untrained = StudentTeacher(config), open_untrained(config, CPU)
    batch = make_crops([body_slice(seed=seed) for seed in range(4)], config, np.random.default_rng(0))
    step = build_schedules(config, config.stages[0], global_batch_size=4).at(7)
    assert untrained is not None
    kept = untrained(batch.global_crops)
    with torch.no_grad():
        model.student.encoder.vit.norm.bias += 0.1
    losses = model.judge(batch, step, kept=kept).losses
    assert losses.keys() == {"retention", "total"}
    torch.testing.assert_close(losses["total"], 2.0 * losses["retention"])
    losses["total"].backward()  # type: ignore[no-untyped-call]
    gradient = model.student.encoder.vit.norm.bias.grad
    assert gradient is not None
    assert (gradient > 0).sum() > 0.9 * len(gradient)
