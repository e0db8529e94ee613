"""The models that a run asks, by what the command line calls them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from operators.encoder.vision_transformer import EncoderConfig
from trainer.features.rivals.timm_models import open_timm_model
from trainer.features.rivals.transformers_models import open_transformers_model
from trainer.features.slice_models import (
    BUILT_IN,
    PIXELS,
    RANDOM,
    SMALL,
    FeatureModel,
    open_model,
    pixel_model,
    random_model,
)

RIVALS: dict[str, Callable[..., FeatureModel]] = {
    "timm": open_timm_model,
    "transformers": open_transformers_model,
}
"""Kinds of snapshots that are no model folders, named before the folder: ``timm=DIR``."""


@dataclass(frozen=True)
class ModelSpec:
    """What a worker opens a model by.

    word : "random", "pixels", a folder, or a rival's kind, "=" and its folder
    like : architecture of what is built in
    """

    word: str
    like: EncoderConfig
    device: str


def model_specs(words: list[str], *, device: str) -> list[ModelSpec]:
    """Of every --model; random weights and pixel statistics take the architecture of the first folder.

    Raises
    ------
    ValueError
        When a model is named twice, or a folder is none.
    """
    if len(set(words)) != len(words):
        raise ValueError(f"--model: expected each once, got {', '.join(words)}")
    for word in words:
        _check(word)
    own = next((word for word in words if word not in BUILT_IN and "=" not in word), None)
    opened = open_spec(ModelSpec(own, SMALL, device)) if own else None
    like = getattr(getattr(opened, "encoder", None), "config", SMALL)
    return [ModelSpec(word, like, device) for word in words]


@lru_cache(maxsize=2)
def open_spec(spec: ModelSpec) -> FeatureModel:
    """The model, ready; kept for the next chunk."""
    if spec.word == RANDOM:
        return random_model(spec.like, device=spec.device)
    if spec.word == PIXELS:
        return pixel_model(spec.like)
    kind, found, folder = spec.word.partition("=")
    if found:
        return RIVALS[kind](Path(folder), device=spec.device)
    return open_model(Path(spec.word), device=spec.device)


def _check(word: str) -> None:
    """Refuse what is no model, before anything is computed."""
    kind, found, folder = word.rpartition("=")
    if word in BUILT_IN:
        return
    if found and kind not in RIVALS:
        raise ValueError(f"--model {word}: expected {' or '.join(f'{name}=DIR' for name in RIVALS)}")
    if not Path(folder).is_dir():
        raise ValueError(f"--model {word}: expected a model folder, or one of {', '.join(BUILT_IN)}")
