import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from operators.domain.features import EncoderInputSettings
from operators.encoder.snapshot import read_snapshot
from operators.encoder.vision_transformer import build_vision_transformer
from slice_cases import body_slice, tiny_config
from trainer.export.model_folder import write_snapshot
from trainer.pretraining.config import Initial, PretrainingConfig
from trainer.pretraining.losses.dino import dino_loss
from trainer.pretraining.losses.ibot import ibot_loss
from trainer.pretraining.losses.koleo import koleo_loss
from trainer.pretraining.losses.sigreg import sigreg_loss
from trainer.pretraining.losses.sinkhorn import sinkhorn_knopp
from trainer.pretraining.model.masked_encoder import start_weights
from trainer.pretraining.model.position_table import hand_over
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.schedules import build_schedules
from trainer.pretraining.views.crops import CropBatch, make_crops

SAMPLES = [body_slice(seed=seed, centre=(50 + 8 * seed, 64 - 5 * seed)) for seed in range(4)]


def batch_for(config: PretrainingConfig, seed: int = 0) -> CropBatch:
    return make_crops(SAMPLES, config, np.random.default_rng(seed))


def step_of(config: PretrainingConfig):  # type: ignore[no-untyped-def]
    return build_schedules(config, config.stages[0], global_batch_size=4).at(7)


def drifted(config: PretrainingConfig) -> StudentTeacher:
    """A student that is not its teacher any more."""
    model = StudentTeacher(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("shared", [False, True])
def test_losses_are_those_of_the_views_they_name(shared: bool) -> None:
    """Put together again from the losses' own functions, view by view."""
    config = tiny_config(losses={"shared_head": shared})
    model, batch, step = drifted(config), batch_for(config), step_of(config)
    losses = model.judge(batch, step).losses
    student, teacher, temperature = model.student, model.teacher, step.teacher_temperature

    def centred(scores: torch.Tensor) -> torch.Tensor:
        return sinkhorn_knopp(scores, temperature=temperature, iterations=3)

    seen = teacher.encoder(batch.global_crops)
    targets = centred(teacher.dino_head(seen[:, 0]))
    masked = student.encoder(batch.global_crops, batch.masks)
    local = [student.dino_head(student.encoder(crops)[:, 0]) for crops in batch.local_crops.split(4)]
    expected = {
        "dino": dino_loss(
            torch.stack(student.dino_head(masked[:, 0]).split(4)),
            torch.stack(local),
            torch.stack(targets.split(4)),
            temperature=0.1,
        ),
        "ibot": ibot_loss(
            (student.dino_head if shared else student.ibot_head)(masked[:, 1:][batch.masks]),
            centred((teacher.dino_head if shared else teacher.ibot_head)(seen[:, 1:][batch.masks])),
            batch.mask_weights,
            num_crops=8,
            temperature=0.1,
        ),
        "koleo": (koleo_loss(masked[:4, 0]) + koleo_loss(masked[4:, 0])) / 2,
        "sigreg": sum(sigreg_loss(view[:, 0], num_projections=32, seed=7) for view in masked.split(4)) / 2,
    }
    assert losses.keys() == expected.keys() | {"total"}
    for name, loss in expected.items():
        torch.testing.assert_close(losses[name], loss, msg=name)
    weights = {"dino": 1.0, "ibot": 1.0, "koleo": 0.1, "sigreg": 0.02}
    total = sum(weights[name] * loss for name, loss in expected.items())
    torch.testing.assert_close(losses["total"], total)


@pytest.mark.parametrize("name", ["dino", "ibot", "koleo", "sigreg"])
def test_each_loss_can_be_left_out_and_stand_alone(name: str) -> None:
    off = dict.fromkeys(("dino", "ibot", "koleo", "sigreg"), 0.0)
    config = tiny_config(losses=off | {name: 2.0})
    model = StudentTeacher(config)
    losses = model.judge(batch_for(config), step_of(config)).losses
    assert losses.keys() == {name, "total"}
    torch.testing.assert_close(losses["total"], 2.0 * losses[name])
    losses["total"].backward()


def test_crops_without_local_views_or_masks_are_learned_from() -> None:
    config = tiny_config(crops={"num_local": 0}, masking={"probability": 0.0})
    losses = StudentTeacher(config).judge(batch_for(config), step_of(config)).losses
    assert float(losses["ibot"].detach()) == 0.0
    losses["total"].backward()
    assert losses["total"].isfinite()


def test_gradients_reach_all_of_the_student_and_nothing_of_the_teacher() -> None:
    config = tiny_config()
    model = drifted(config)
    model.judge(batch_for(config), step_of(config)).losses["total"].backward()
    silent = [name for name, p in model.student.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


def test_the_teacher_follows_by_its_momentum() -> None:
    model = drifted(tiny_config())
    teacher = {name: p.clone() for name, p in model.teacher.named_parameters()}
    student = {name: p.detach().clone() for name, p in model.student.named_parameters()}
    for _ in range(3):
        model.update_teacher(0.9)
    for name, parameter in model.teacher.named_parameters():
        torch.testing.assert_close(parameter, 0.9**3 * teacher[name] + (1 - 0.9**3) * student[name])
    for name, parameter in model.student.named_parameters():
        assert torch.equal(parameter, student[name])
    model.update_teacher(1.0)
    model.update_teacher(0.0)
    assert all(torch.equal(p, student[name]) for name, p in model.teacher.named_parameters())


def test_both_start_alike_and_as_the_seed_says() -> None:
    first, again, other = (StudentTeacher(tiny_config(run={"seed": seed})).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["student.encoder.vit.pos_embed"], other["student.encoder.vit.pos_embed"])
    for name in first:
        if name.startswith("student."):
            assert torch.equal(first[name], first[name.replace("student.", "teacher.", 1)])


def test_the_teacher_never_drops_paths() -> None:
    model = StudentTeacher(tiny_config(run={"drop_path": 0.5})).train()
    images = batch_for(tiny_config()).global_crops
    assert torch.equal(model.teacher.encoder(images), model.teacher.encoder(images))
    assert not torch.equal(model.student.encoder(images), model.student.encoder(images))


def test_training_lowers_the_loss() -> None:
    config = tiny_config(losses={"koleo": 0.0})
    model, batch = StudentTeacher(config), batch_for(config)
    optimiser = torch.optim.AdamW(model.student.parameters(), lr=2e-3)
    step, totals = step_of(config), []
    for _ in range(40):
        total = model.judge(batch, step).losses["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        model.update_teacher(0.99)
        totals.append(float(total.detach()))
    assert np.mean(totals[-5:]) < 0.95 * totals[0]


def test_a_finer_stage_goes_on_where_the_coarse_one_ended() -> None:
    """The next stage's model takes the old state with its table resized, and sees the old images the same way."""
    coarse = tiny_config()
    fine = coarse.model_copy(update={"crops": coarse.crops.model_copy(update={"global_size": 64})})
    old, new = drifted(coarse), StudentTeacher(fine)
    new.load_state_dict(hand_over(old.state_dict(), fine.encoder_config.grid_size))
    assert new.student.encoder.vit.pos_embed.shape == (1, 65, 24)
    losses = new.judge(batch_for(fine), dataclasses.replace(step_of(fine), step=0)).losses
    assert losses["total"].isfinite()
    old_cls, new_cls = (m.teacher.encoder(batch_for(coarse).global_crops)[:, 0] for m in (old, new))
    assert torch.cosine_similarity(old_cls, new_cls).min() > 0.99


def test_the_teacher_becomes_a_snapshot_that_the_application_reads(tmp_path: Path) -> None:
    config = tiny_config()
    model = drifted(config)
    settings = EncoderInputSettings(image_size=config.crops.global_size)
    write_snapshot(model.teacher_encoder_state(), config.encoder_config, settings, tmp_path)
    read = build_vision_transformer(config.encoder_config)
    read.load_state_dict(read_snapshot(tmp_path).state_dict)
    images = batch_for(config).global_crops
    with torch.inference_mode():
        expected = model.teacher.encoder(images)
        torch.testing.assert_close(read.forward_features(images), expected, atol=0.02, rtol=0)  # type: ignore[operator]


class Waits(TorchDispatchMode):
    """Names what a GPU would have to answer before the host goes on."""

    ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype is torch.bool for index in args[1]
        )
        if by_mask or name in self.ASKING:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_losses_and_gradients_ask_a_device_for_nothing() -> None:
    config = tiny_config(run={"drop_path": 0.3})
    model, batch, step = StudentTeacher(config), batch_for(config), step_of(config)
    with Waits() as waits:
        model.judge(batch, step).losses["total"].backward()  # type: ignore[no-untyped-call]
    assert waits.found == []
    with waits:
        batch.masks[batch.masks]
    assert waits.found != []


@pytest.mark.parametrize("initial", ["truncated-normal", "random-features"])
def test_start_weights_are_those_that_a_training_begins_with(initial: Initial) -> None:
    config = tiny_config(model={"initial": initial}, run={"seed": 3})
    began = StudentTeacher(config).student.encoder.snapshot_state()
    told = start_weights(config.encoder_config, initial, seed=3, first_size=config.crops.global_size)
    assert told.keys() == began.keys()
    assert all(torch.equal(told[name], tensor) for name, tensor in began.items())


@pytest.mark.parametrize("initial", ["truncated-normal", "random-features"])
def test_start_weights_on_a_later_stages_grid_are_still_those_of_the_first(initial: Initial) -> None:
    config = tiny_config(model={"initial": initial}, run={"seed": 3})
    size = config.crops.global_size
    began = StudentTeacher(config).student.encoder.snapshot_state()
    later = config.encoder_config.model_copy(update={"image_size": 2 * size})
    told = start_weights(later, initial, seed=3, first_size=size)
    for name, tensor in hand_over(began, later.grid_size).items():
        assert torch.equal(told[name], tensor), name
