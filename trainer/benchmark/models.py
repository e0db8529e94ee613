"""The models that a run asks, by what the command line calls them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from operators.encoder.vision_transformer import EncoderConfig
from operators.heads.records import read_table
from operators.model.model_folder import MODEL_FILE
from trainer.features.rivals.open_clip_models import open_open_clip_model
from trainer.features.rivals.timm_models import open_timm_model
from trainer.features.rivals.transformers_models import open_transformers_model
from trainer.features.slice_models import (
    SMALL,
    FeatureModel,
    open_model,
    pixel_model,
    place_model,
    random_model,
    untrained_model,
)
from trainer.pretraining.config import Initial, read_config
from trainer.pretraining.model.masked_encoder import start_weights

RANDOM, PIXELS, PLACE, BEFORE_TRAINING = "random", "pixels", "place", "before-training"
BUILT_IN = (RANDOM, PIXELS, PLACE, BEFORE_TRAINING)
WITHOUT_NETWORK = (PIXELS, PLACE)

SOURCES = Path(__file__).parents[2]
"""From which a model folder names the settings of its training."""

RIVALS: dict[str, Callable[..., FeatureModel]] = {
    "timm": open_timm_model,
    "transformers": open_transformers_model,
    "open-clip": open_open_clip_model,
}
"""Kinds of snapshots that are no model folders, named before the folder: ``timm=DIR``."""

NOT_HELD = {
    "medimageinsight": "its architecture is in its makers' code alone, and its weights are pickles",
    "merlin": "its inflated ResNet is in its makers' code alone, and its weights are pickles",
    "ct-clip": "its three-dimensional transformer is in its makers' code alone, and its weights are pickles",
    "ct-fm": "its encoder is MONAI's, which is not among the dependencies",
    "pillar-0": "its architecture comes as code with the weights, which is never run here",
}
"""Rivals that no adapter opens, and why."""


@dataclass(frozen=True)
class ModelSpec:
    """What a worker opens a model by.

    word : one of `BUILT_IN`, a folder, or a rival's kind, "=" and its folder
    like : architecture of what is built in
    device : that networks run on
    initial, seed, first_size : how the weights of *like* began, and in images of how many pixels; 0 for those of *like*
    """

    word: str
    like: EncoderConfig
    device: str
    initial: Initial = "truncated-normal"
    seed: int = 0
    first_size: int = 0


def model_specs(words: list[str], *, device: str) -> list[ModelSpec]:
    """What every --model stands for; what is built in takes the architecture of the first folder.

    Raises
    ------
    ValueError
        When a model is named twice, a folder is none, or no folder says which training "before-training" comes before.
    """
    if len(set(words)) != len(words):
        raise ValueError(f"--model: expected each once, got {', '.join(words)}")
    for word in words:
        _check(word)
    own = next((word for word in words if word not in BUILT_IN and "=" not in word), None)
    opened = open_spec(ModelSpec(own, SMALL, device)) if own else None
    if own is None and BEFORE_TRAINING in words:
        raise ValueError(f"--model {BEFORE_TRAINING}: expected a model folder among the models, whose start it is")
    like = getattr(getattr(opened, "encoder", None), "config", SMALL)
    spec = _with_start(ModelSpec(own or RANDOM, like, device))
    return [replace(spec, word=word) for word in words]


@lru_cache(maxsize=2)
def open_spec(spec: ModelSpec) -> FeatureModel:
    """The model, ready; kept for the next chunk."""
    if spec.word == RANDOM:
        return random_model(spec.like, device=spec.device)
    if spec.word == PIXELS:
        return pixel_model(spec.like)
    if spec.word == PLACE:
        return place_model(spec.like)
    if spec.word == BEFORE_TRAINING:
        first_size = spec.first_size or spec.like.image_size
        start = start_weights(spec.like, spec.initial, seed=spec.seed, first_size=first_size)
        return untrained_model(spec.word, spec.like, start, device=spec.device)
    kind, found, folder = spec.word.partition("=")
    if found:
        return RIVALS[kind](Path(folder), device=spec.device)
    return open_model(Path(spec.word), device=spec.device)


def _with_start(spec: ModelSpec) -> ModelSpec:
    """As the settings have it that model.toml names; where it names none that are here, as DINOv2 begins."""
    record = Path(spec.word) / MODEL_FILE
    if spec.word in BUILT_IN or not record.is_file():
        return spec
    told = read_table(record).get("encoder")
    config = SOURCES / str(told.get("config", "")) if isinstance(told, dict) else SOURCES
    if not config.is_file():
        return spec
    settings = read_config(config)
    first = settings.at_stage(settings.stages[0]).crops.global_size
    return replace(spec, initial=settings.model.initial, seed=settings.run.seed, first_size=first)


def _check(word: str) -> None:
    """Refuse what is no model, before anything is computed."""
    kind, found, folder = word.rpartition("=")
    if word in BUILT_IN:
        return
    if kind.lower() in NOT_HELD:
        raise ValueError(f"--model {word}: {kind} is not held: {NOT_HELD[kind.lower()]} (docs/benchmark.md, Rivals)")
    if found and kind not in RIVALS:
        raise ValueError(f"--model {word}: expected {' or '.join(f'{name}=DIR' for name in RIVALS)}")
    if not Path(folder).is_dir():
        raise ValueError(f"--model {word}: expected a model folder, or one of {', '.join(BUILT_IN)}")
