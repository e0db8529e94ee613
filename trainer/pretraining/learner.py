"""One step of training: losses, gradients, AdamW, the teacher's update; and the state that a checkpoint keeps of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.model.guide import open_guide
from trainer.pretraining.model.parameter_groups import GroupRule, group_parameters
from trainer.pretraining.model.student_teacher import StudentTeacher
from trainer.pretraining.model.untrained import open_untrained
from trainer.pretraining.processes import Processes, shard
from trainer.pretraining.schedules import StepSettings
from trainer.pretraining.views.crops import CropBatch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step gave.

    losses, signs : scalars on the device, of this process's slices; as `Judgement` has them
    gradient_norm : over all processes, before clipping
    finite : False when the step was left out because a gradient was not
    """

    losses: dict[str, Tensor]
    signs: dict[str, Tensor]
    gradient_norm: float
    finite: bool


class Learner:
    """Student, teacher and optimiser of one stage.

    config : with a stage's sizes in [crops]
    weights : of an earlier stage on this stage's token grid; freshly drawn ones without
    """

    def __init__(
        self, config: PretrainingConfig, processes: Processes, *, weights: dict[str, Tensor] | None = None
    ) -> None:
        self.settings = config.optimiser
        self.device = processes.device
        self.half_precision = config.run.precision == "bf16"
        self.model = StudentTeacher(config)
        if weights is not None:
            self.model.load_state_dict(weights)
        self.model.to(self.device)
        shard(self.model, processes, half_precision=self.half_precision)
        self._guide = open_guide(config.guide.weights, self.device)
        self._untrained = open_untrained(config, self.device)
        self.optimiser = _build_optimiser(self.model.student, config)

    def step(self, batch: CropBatch, settings: StepSettings) -> StepResult:
        """Left out, on every process alike, where a gradient is not finite: weights and teacher stay as they were."""
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half_precision):
            shown = self._guide(batch.guide_images) if self._guide and batch.guide_images is not None else None
            kept = self._untrained(batch.global_crops) if self._untrained else None
            judgement = self.model.judge(batch, settings, shown, kept)
        judgement.losses["total"].backward()  # type: ignore[no-untyped-call]
        norm = self._clip()
        if finite := bool(norm.isfinite()):
            _set_rates(self.optimiser, settings)
            self.optimiser.step()
            self.model.update_teacher(settings.momentum)
        losses = {name: loss.detach() for name, loss in judgement.losses.items()}
        return StepResult(losses, judgement.signs, float(norm), finite)

    def state(self) -> dict[str, Tensor]:
        """Weights of both and AdamW's moments, by name; the tensors themselves, to be saved or to be read into."""
        moments = {
            f"optimiser.{name}.{key}": tensor
            for name, parameter in self.model.student.named_parameters()
            for key, tensor in self.optimiser.state[parameter].items()
        }
        return {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()} | moments

    def _clip(self) -> Tensor:
        """Encoder and heads are clipped each by itself, as in DINOv2; their joined norm."""
        # A head whose loss has no weight has no gradients; torch would tell their norm on the CPU.
        learning = [
            part for part in self.model.student.children() if any(p.grad is not None for p in part.parameters())
        ]
        norms = [nn.utils.clip_grad_norm_(part.parameters(), self.settings.clip) for part in learning]
        whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(whole))
        return norm


def _build_optimiser(student: nn.Module, config: PretrainingConfig) -> torch.optim.AdamW:
    rules = group_parameters(student, patch_embed_factor=config.optimiser.patch_embed_factor)
    groups = [{"params": parameters, "rule": rule} for rule, parameters in rules.items()]
    optimiser = torch.optim.AdamW(groups, lr=0.0, betas=config.optimiser.betas, fused=True)
    # AdamW makes its state in the first step; a checkpoint is read before that.
    for parameter in student.parameters():
        optimiser.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }
    return optimiser


def _set_rates(optimiser: torch.optim.AdamW, settings: StepSettings) -> None:
    for group, rule in _groups(optimiser):
        group["lr"] = rule.lr_factor * (settings.prototype_lr if rule.prototypes else settings.lr)
        group["weight_decay"] = settings.weight_decay if rule.decays else 0.0


def _groups(optimiser: torch.optim.AdamW) -> Iterator[tuple[dict[str, object], GroupRule]]:
    for group in optimiser.param_groups:
        yield group, group["rule"]
