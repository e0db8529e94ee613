"""The student that learns, the teacher that follows it, and the losses between them.

B slices, 2 global and n local views; K prototypes; M masked tokens; D the encoder's width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.pretraining.config import PretrainingConfig
from trainer.pretraining.losses.dino import dino_loss
from trainer.pretraining.losses.distillation import distillation_loss
from trainer.pretraining.losses.ibot import ibot_loss
from trainer.pretraining.losses.koleo import koleo_loss
from trainer.pretraining.losses.reconstruction import reconstruction_loss
from trainer.pretraining.losses.sigreg import sigreg_loss
from trainer.pretraining.losses.sinkhorn import sinkhorn_knopp
from trainer.pretraining.model import guided_maps, masked_encoder, projection_head
from trainer.pretraining.model.collapse_signs import entropies, flatness, mean_cosine
from trainer.pretraining.model.guide import GuideFeatures
from trainer.pretraining.model.guided_maps import GuidedMaps
from trainer.pretraining.model.masked_encoder import MaskedEncoder
from trainer.pretraining.model.projection_head import DINOHead
from trainer.pretraining.model.untrained import Retention
from trainer.pretraining.schedules import StepSettings
from trainer.pretraining.views.crops import NUM_GLOBAL, CropBatch


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """Scalars on the device.

    losses : each that has a weight, unweighted, and their weighted sum under "total"
    signs : of learning; "divergence/..." is the loss less what the targets' own entropy makes of it, in nats,
        "target_flatness/..." that entropy over the largest possible, "cls_cosine" the teacher's between slices
    """

    losses: dict[str, Tensor]
    signs: dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    """What the teacher says: (2B, D) CLS, and the targets (2, B, K) of CLS and (M, K) of the masked patches."""

    cls: Tensor
    of_cls: Tensor
    of_patches: Tensor


class Branch(nn.Module):
    """An encoder with its heads. Each of the three is called as a module, so that each can be sharded by itself."""

    def __init__(self, config: PretrainingConfig, *, drop_path: float) -> None:
        super().__init__()
        checkpointing = config.run.activation_checkpointing
        self.encoder = MaskedEncoder(config.encoder_config, drop_path=drop_path, checkpointing=checkpointing)
        width = config.encoder_config.hidden_size
        self.dino_head = DINOHead(width, config.losses)
        self.ibot_head = None if config.losses.shared_head else DINOHead(width, config.losses)
        self.guided_maps = GuidedMaps(width) if config.losses.distillation else None
        self.pixel_map = nn.Linear(width, config.model.patch_size**2) if config.losses.reconstruction else None
        self.retention = Retention(width) if config.losses.retention else None

    def score_patches(self, tokens: Tensor) -> Tensor:
        """(M, D) to (M, K)."""
        head = self.dino_head if self.ibot_head is None else self.ibot_head
        return head(tokens)  # type: ignore[no-any-return]

    def initialise(self, generator: torch.Generator) -> None:
        masked_encoder.initialise(self.encoder, generator)
        for head in (self.dino_head, self.ibot_head):
            if head is not None:
                projection_head.initialise(head, generator)
        for part in (self.guided_maps, self.pixel_map):
            for linear in () if part is None else part.modules():
                if isinstance(linear, nn.Linear):
                    guided_maps.initialise(linear, generator)


class StudentTeacher(nn.Module):
    """Student and teacher, and what is asked of the student.

    config : with a stage's sizes in [crops]; its seed draws the weights, alike in both"""

    def __init__(self, config: PretrainingConfig) -> None:
        super().__init__()
        self.settings = config.losses
        self.student = Branch(config, drop_path=config.run.drop_path)
        self.teacher = Branch(config, drop_path=0.0)
        self.student.initialise(torch.Generator().manual_seed(config.run.seed))
        if config.model.initial == "random-features":
            masked_encoder.take_random_features(self.student.encoder, config.encoder_config, seed=config.run.seed)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "StudentTeacher":
        super().train(mode)
        self.teacher.eval()
        return self

    def judge(
        self,
        batch: CropBatch,
        progress: StepSettings,
        shown: GuideFeatures | None = None,
        kept: Tensor | None = None,
    ) -> Judgement:
        """The losses of a batch.

        shown : the frozen network's features of the global crops, where the student is to answer as it does
        kept : (2B, 1 + N, D) tokens of the untrained encoder, where the student is to keep what they tell
        """
        settings = self.settings
        # Nobody asks the teacher where neither of its losses has a weight.
        asks = bool(settings.dino or settings.ibot)
        targets = self._targets(batch, progress.teacher_temperature) if asks else None
        tokens = self.student.encoder(batch.global_crops, batch.masks)  # (2B, 1 + N, D)
        views = tokens[:, 0].chunk(NUM_GLOBAL)  # (B, D) each
        losses: dict[str, Tensor] = {}
        if settings.dino and targets is not None:
            losses["dino"] = self._dino(tokens[:, 0], batch.local_crops, targets.of_cls)
        if settings.ibot and targets is not None:
            scores = self.student.score_patches(_masked(tokens, batch))
            losses["ibot"] = ibot_loss(
                scores,
                targets.of_patches,
                batch.mask_weights,
                num_crops=len(tokens),
                temperature=settings.student_temperature,
            )
        # Views of one slice are alike by design, so that each view is spread out by itself.
        if settings.koleo:
            losses["koleo"] = torch.stack([koleo_loss(view) for view in views]).mean()
        if settings.sigreg:
            count, seed = settings.sigreg_projections, progress.step
            losses["sigreg"] = torch.stack(
                [sigreg_loss(view, num_projections=count, seed=seed) for view in views]
            ).mean()
        if self.student.guided_maps is not None and shown is not None:
            answers: GuideFeatures = self.student.guided_maps(tokens)
            losses["distillation"] = distillation_loss(answers.whole, shown.whole) + distillation_loss(
                answers.tokens.flatten(0, 1), shown.tokens.flatten(0, 1)
            )
        if self.student.pixel_map is not None:
            pixels = self.student.pixel_map(tokens[:, 1:])
            losses["reconstruction"] = reconstruction_loss(pixels, batch.global_crops, batch.masks)
        if self.student.retention is not None and kept is not None:
            losses["retention"] = self.student.retention(tokens, kept, batch.masks)
        losses["total"] = torch.stack([getattr(settings, name) * loss for name, loss in losses.items()]).sum()
        signs = {} if targets is None else self._signs(batch, losses, targets)
        if targets is not None and len(views[0]) > 1:
            signs["cls_cosine"] = torch.stack([mean_cosine(view) for view in targets.cls.chunk(NUM_GLOBAL)]).mean()
        return Judgement(losses, signs)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """teacher = momentum * teacher + (1 - momentum) * student, parameter by parameter."""
        teacher: list[Tensor] = list(self.teacher.parameters())
        student: list[Tensor] = list(self.student.parameters())
        torch._foreach_mul_(teacher, momentum)
        torch._foreach_add_(teacher, student, alpha=1.0 - momentum)

    def teacher_encoder_state(self) -> dict[str, Tensor]:
        """Under the names that `trainer.export.write_snapshot` takes."""
        return dict(self.teacher.encoder.snapshot_state())

    @torch.no_grad()
    def _targets(self, batch: CropBatch, temperature: float) -> "_Targets":
        """The teacher sees everything."""
        tokens = self.teacher.encoder(batch.global_crops)
        scores = self.teacher.dino_head(tokens[:, 0]), self.teacher.score_patches(_masked(tokens, batch))
        iterations = self.settings.sinkhorn_iterations
        cls, patches = (sinkhorn_knopp(score, temperature=temperature, iterations=iterations) for score in scores)
        return _Targets(tokens[:, 0], torch.stack(cls.chunk(NUM_GLOBAL)), patches)

    @torch.no_grad()
    def _signs(self, batch: CropBatch, losses: dict[str, Tensor], targets: "_Targets") -> dict[str, Tensor]:
        """Divergence and flatness of DINO and iBOT, where they have a weight and there is something to ask."""
        found: dict[str, Tensor] = {}
        num_prototypes = targets.of_cls.shape[-1]
        if "dino" in losses:
            entropy = entropies(targets.of_cls).mean()
            found["divergence/dino"] = losses["dino"].detach() - entropy
            found["target_flatness/dino"] = flatness(entropy, num_prototypes)
        if "ibot" in losses and len(targets.of_patches):
            weighted = (entropies(targets.of_patches) * batch.mask_weights).sum()
            found["divergence/ibot"] = losses["ibot"].detach() - weighted / len(batch.masks)
            found["target_flatness/ibot"] = flatness(weighted / batch.mask_weights.sum(), num_prototypes)
        return found

    def _dino(self, global_cls: Tensor, local_crops: Tensor, targets: Tensor) -> Tensor:
        num_global = len(global_cls)
        cls = global_cls if len(local_crops) == 0 else torch.cat([global_cls, self.student.encoder(local_crops)[:, 0]])
        scores = self.student.dino_head(cls)
        num_slices, num_prototypes = targets.shape[1:]
        return dino_loss(
            scores[:num_global].view(NUM_GLOBAL, num_slices, num_prototypes),
            scores[num_global:].view(len(local_crops) // num_slices, num_slices, num_prototypes),
            targets,
            temperature=self.settings.student_temperature,
        )


def _masked(tokens: Tensor, batch: CropBatch) -> Tensor:
    """(M, D), the masked patches of (2B, 1 + N, D)."""
    return tokens[:, 1:].flatten(0, 1).index_select(0, batch.mask_indices)
