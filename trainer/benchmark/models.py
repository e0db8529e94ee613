"""The models that a run asks, by what the command line calls them."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from operators.encoder.vision_transformer import EncoderConfig
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


@dataclass(frozen=True)
class ModelSpec:
    """What a worker opens a model by.

    word : "random", "pixels" or a folder
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
    like = SMALL
    for word in words:
        if word not in BUILT_IN:
            if not Path(word).is_dir():
                raise ValueError(f"--model {word}: expected a model folder, or one of {', '.join(BUILT_IN)}")
            opened = open_spec(ModelSpec(word, SMALL, device))
            like = getattr(getattr(opened, "encoder", None), "config", SMALL)
            break
    return [ModelSpec(word, like, device) for word in words]


@lru_cache(maxsize=2)
def open_spec(spec: ModelSpec) -> FeatureModel:
    """The model, ready; kept for the next chunk."""
    if spec.word == RANDOM:
        return random_model(spec.like, device=spec.device)
    if spec.word == PIXELS:
        return pixel_model(spec.like)
    return open_model(Path(spec.word), device=spec.device)
