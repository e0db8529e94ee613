"""What can be set about a pre-training run, as one TOML file; docs/pre-training.md tells where defaults are from."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from operators.encoder.vision_transformer import EncoderConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]
Range = tuple[Share, Share]

GUIDE_PATCH, GUIDE_STRIDE = 16, 32
"""Pixels: what a token of the frozen network covers, and what its coarsest features ask of an image."""

SIZES = {
    "small": {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 3},
    "B": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    "L": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    "g": {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24},
}
"""B, L and g are DINOv2's, with SwiGLU as Curia has it at every size; small is the embedded model's."""

Initial = Literal["truncated-normal", "random-features"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(_Table):
    """A size by name; any field that is given beside it wins over the size's own. Fields are EncoderConfig's.

    initial : how weights begin; "random-features" with smooth filters and a position table, as
        `trainer.features.random_features` draws them
    """

    initial: Initial = "truncated-normal"
    size: Literal["small", "B", "L", "g"] = "B"
    hidden_size: int | None = Field(None, gt=0)
    num_hidden_layers: int | None = Field(None, gt=0)
    num_attention_heads: int | None = Field(None, gt=0)
    mlp_ratio: float = Field(4.0, gt=0)
    use_swiglu_ffn: bool = True
    layerscale_value: float = Field(1e-5, gt=0)
    patch_size: int = Field(16, gt=0)

    def encoder_config(self, image_size: int) -> EncoderConfig:
        given = self.model_dump(exclude={"size", "initial"}, exclude_none=True)
        return EncoderConfig.model_validate(SIZES[self.size] | given | {"num_channels": 1, "image_size": image_size})


class DataSettings(_Table):
    """What is read, and how much at a time.

    shards, validation_shards : glob patterns
    workers : threads that decode; 0 decodes when asked
    batch_size : slices a process takes at a time
    shuffle_shards : shards whose slices are mixed
    max_damaged : shards and slices that may be skipped before the run stops
    """

    shards: str
    validation_shards: str | None = None
    seed: int = 0
    workers: int = Field(8, ge=0)
    batch_size: int = Field(32, gt=0)
    shuffle_shards: int = Field(16, gt=0)
    max_damaged: int = Field(100, ge=0)


class ContentSettings(_Table):
    """Content-aware cropping.

    min_content : share of a crop that must show something, or the whole slice's share where that is less
    max_tries : crops drawn at most; the one with the most content is taken when none is enough
    """

    enabled: bool = True
    min_content: Share = 0.3
    max_tries: int = Field(10, gt=0)


class CropSettings(_Table):
    """Sizes in pixels, scales as shares of the slice's area.

    flip : probability that a crop is mirrored left to right
    """

    global_size: int = Field(256, gt=0)
    global_scale: Range = (0.32, 1.0)
    num_local: int = Field(8, ge=0)
    local_size: int = Field(112, gt=0)
    local_scale: Range = (0.05, 0.32)
    flip: Share = 0.5
    content: ContentSettings = ContentSettings()


class CtAugmentationSettings(_Table):
    """Augmentation of values in HU. Each with the probability that a crop gets it, 0 leaves it out.

    windows : HU ranges that values are clamped to, each end moved by up to `window_jitter_hu`
    noise_hu : largest standard deviation
    """

    window: Share = 0.3
    windows: Annotated[tuple[tuple[float, float], ...], Field(min_length=1)] = (
        (-1350.0, 150.0),
        (-160.0, 240.0),
        (-500.0, 1300.0),
    )
    window_jitter_hu: float = Field(50.0, ge=0)
    noise: Share = 0.3
    noise_hu: float = Field(40.0, ge=0)


class MrAugmentationSettings(_Table):
    """Augmentation of all other values, the bias field of MR alone. Each has a probability for a crop; 0 leaves it out.

    bias_log : largest deviation of the bias field's logarithm from 0
    gamma_log : largest deviation of the exponent's logarithm from 0
    noise_share : largest standard deviation in each channel, as a share of the crop's range
    """

    bias: Share = 0.3
    bias_log: float = Field(0.4, ge=0)
    gamma: Share = 0.3
    gamma_log: float = Field(0.4, ge=0)
    noise: Share = 0.3
    noise_share: Share = 0.05


class AugmentationSettings(_Table):
    """What other scanners and protocols would have made of a crop.

    placing : probability of a turn by up to `rotation_degrees` with a zoom by up to the factor `zoom`
    resolution : probability of pixels up to `pixel_factor` times as large
    """

    enabled: bool = True
    placing: Share = 0.3
    rotation_degrees: float = Field(10.0, ge=0, le=180)
    zoom: float = Field(1.1, ge=1)
    resolution: Share = 0.3
    pixel_factor: float = Field(3.0, ge=1)
    ct: CtAugmentationSettings = CtAugmentationSettings()
    mr: MrAugmentationSettings = MrAugmentationSettings()


class MaskingSettings(_Table):
    """iBOT's masks over the global crops.

    kind : "anatomy" draws block centres around the anatomy, "blockwise" anywhere, as DINOv2 does
    probability : share of the global crops that are masked
    ratio : least and largest share of a masked crop's tokens
    spread : the anatomy prior's standard deviation over the anatomy's own, along rows and columns alike
    """

    kind: Literal["anatomy", "blockwise"] = "anatomy"
    probability: Share = 0.5
    ratio: Range = (0.1, 0.5)
    spread: float = Field(1.0, gt=0)


class LossSettings(_Table):
    """Weights (0 leaves a loss out), heads and temperatures.

    distillation : of a frozen network's features, see [guide]
    reconstruction : of the masked patches' pixels
    retention : of the features of the untrained encoder that the student begins as
    teacher_temperature : at the start, and after the share `teacher_temperature_warmup` of a stage's steps
    """

    dino: Weight = 1.0
    ibot: Weight = 1.0
    koleo: Weight = 0.0
    sigreg: Weight = 0.02
    distillation: Weight = 0.0
    reconstruction: Weight = 0.0
    retention: Weight = 0.0
    sigreg_projections: int = Field(1024, gt=0)
    prototypes: int = Field(65_536, gt=1)
    shared_head: bool = False
    head_layers: int = Field(3, ge=1)
    head_hidden_dim: int = Field(2048, gt=0)
    head_bottleneck_dim: int = Field(256, gt=0)
    sinkhorn_iterations: int = Field(3, gt=0)
    student_temperature: float = Field(0.1, ge=0.02)
    # Below 0.02 the teacher's exponentials leave float32 (losses/sinkhorn.py).
    teacher_temperature: tuple[Annotated[float, Field(ge=0.02)], Annotated[float, Field(ge=0.02)]] = (0.04, 0.07)
    teacher_temperature_warmup: Share = 0.1


class GuideSettings(_Table):
    """The frozen network that is distilled, where `losses.distillation` has a weight.

    weights : safetensors file of timm's tf_efficientnet_lite0
    """

    weights: str | None = None


class OptimiserSettings(_Table):
    """AdamW.

    lr : at a global batch of `batch_reference`; grows with the square root of the batch
    warmup, frozen_prototypes : shares of a stage's steps
    patch_embed_factor : of the learning rate, for the patch embedding
    """

    lr: float = Field(4e-4, gt=0)
    min_lr: float = Field(1e-6, ge=0)
    batch_reference: int = Field(1024, gt=0)
    warmup: Share = 0.1
    frozen_prototypes: Share = 0.002
    weight_decay: tuple[Weight, Weight] = (0.04, 0.2)
    betas: tuple[Share, Share] = (0.9, 0.999)
    clip: float = Field(3.0, gt=0)
    patch_embed_factor: float = Field(0.2, gt=0)
    momentum: Range = (0.992, 1.0)


class StageSettings(_Table):
    """A part of the training at one resolution; its schedules run over its own steps.

    global_size, local_size : pixels; [crops] tells them where they are left out
    activation_checkpointing : slower, in less memory; [run] tells it where it is left out
    lr_factor : on the optimiser's learning rate
    """

    name: str
    steps: int = Field(gt=0)
    global_size: int | None = Field(None, gt=0)
    local_size: int | None = Field(None, gt=0)
    lr_factor: float = Field(1.0, gt=0)
    activation_checkpointing: bool | None = None


class RunSettings(_Table):
    """How a run computes, saves and reports.

    max_skipped : steps in a row that may be left out for gradients that are not finite"""

    precision: Literal["bf16", "fp32"] = "bf16"
    activation_checkpointing: bool = False
    drop_path: float = Field(0.3, ge=0.0, lt=1.0)
    seed: int = 0
    checkpoint_every: int = Field(1000, gt=0)
    checkpoint_keep: int = Field(3, gt=0)
    log_every: int = Field(10, gt=0)
    probe_every: int = Field(5000, gt=0)
    max_skipped: int = Field(10, ge=0)


class PretrainingConfig(_Table):
    """A whole run; saved with every checkpoint."""

    data: DataSettings
    model: ModelSettings = ModelSettings()
    crops: CropSettings = CropSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    masking: MaskingSettings = MaskingSettings()
    losses: LossSettings = LossSettings()
    guide: GuideSettings = GuideSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    stages: tuple[StageSettings, ...] = (
        StageSettings(name="low", steps=450_000, global_size=256, local_size=112),
        StageSettings(name="high", steps=25_000, global_size=512, local_size=224, lr_factor=0.1),
    )
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.stages:
            raise ValueError("stages: expected at least one, got none")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"stages: expected different names, got {names}")
        for name, (low, high) in {
            "crops.global_scale": self.crops.global_scale,
            "crops.local_scale": self.crops.local_scale,
            "masking.ratio": self.masking.ratio,
        }.items():
            if low > high:
                raise ValueError(f"{name}: expected the smaller one first, got {low} and {high}")
        if bool(self.losses.distillation) != bool(self.guide.weights):
            raise ValueError(
                f"guide.weights: expected with losses.distillation and not without it, got {self.guide.weights!r} and "
                f"{self.losses.distillation}"
            )
        if self.losses.retention and self.model.initial != "random-features":
            raise ValueError(
                "model.initial: expected 'random-features' with losses.retention, which keeps what the student began "
                f"as, got {self.model.initial!r}"
            )
        for stage in self.stages:
            self._check_sizes(stage)
        return self

    def _check_sizes(self, stage: StageSettings) -> None:
        patch, size = self.model.patch_size, stage.global_size or self.crops.global_size
        if self.losses.distillation and (patch != GUIDE_PATCH or size % GUIDE_STRIDE):
            raise ValueError(
                f"stage {stage.name!r}: the frozen network asks for patches of {GUIDE_PATCH} and a global_size that "
                f"divides by {GUIDE_STRIDE}, got {patch} and {size}"
            )
        for name, size in (
            ("global_size", stage.global_size or self.crops.global_size),
            ("local_size", stage.local_size or self.crops.local_size),
        ):
            if size % patch:
                raise ValueError(f"stage {stage.name!r}: {name} {size} does not divide by patch_size {patch}")

    def at_stage(self, stage: StageSettings) -> "PretrainingConfig":
        """The same run with the stage's sizes in [crops], its own way with activations in [run]."""
        sizes = {
            "global_size": stage.global_size or self.crops.global_size,
            "local_size": stage.local_size or self.crops.local_size,
        }
        crops, run = self.crops.model_copy(update=sizes), self.run
        if stage.activation_checkpointing is not None:
            run = run.model_copy(update={"activation_checkpointing": stage.activation_checkpointing})
        return self.model_copy(update={"crops": crops, "run": run})

    def on_shards(self, shards: str) -> "PretrainingConfig":
        """The same run on other shards, a glob pattern, and without slices to probe while it trains."""
        data = self.data.model_copy(update={"shards": shards, "validation_shards": None})
        return self.model_copy(update={"data": data})

    def guided_by(self, weights: Path) -> "PretrainingConfig":
        """The same run with the frozen network's weights at another place, where it distils one at all."""
        if not self.losses.distillation:
            return self
        return self.model_copy(update={"guide": GuideSettings(weights=str(weights))})

    @property
    def encoder_config(self) -> EncoderConfig:
        """The encoder for [crops]' global size."""
        return self.model.encoder_config(self.crops.global_size)


def read_config(path: Path) -> PretrainingConfig:
    """A run's TOML file.

    Raises
    ------
    ValueError
        Naming the file and every field that is wrong.
    """
    try:
        return PretrainingConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    except ValidationError as error:
        complaints = [_complaint(details) for details in error.errors(include_url=False)]
        raise ValueError(f"{path}: {'; '.join(complaints)}") from error


def _complaint(details: ErrorDetails) -> str:
    """Which setting is wrong, what was expected, what came."""
    place, given = ".".join(map(str, details["loc"])), details["input"]
    if details["type"] == "extra_forbidden":
        return f"{place}: no such setting; there are {', '.join(_table_of(details['loc']).model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{f'{place}: ' if place else ''}{message}{'' if isinstance(given, dict) else f', got {given!r}'}"


def _table_of(place: tuple[int | str, ...]) -> type[BaseModel]:
    """The table that a setting was written into."""
    table: Any = PretrainingConfig
    for name in (part for part in place[:-1] if isinstance(part, str)):
        kind = table.model_fields[name].annotation
        # [[stages]] is a tuple of tables.
        table = next(iter(get_args(kind)), kind)
    return table  # type: ignore[no-any-return]
