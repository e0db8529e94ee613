"""Models that a benchmark asks, each with its own input contract behind one protocol."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor

from operators.domain.features import EncoderInput, EncoderInputSettings, FeatureVolume
from operators.domain.value_meaning import ValueMeaning
from operators.domain.volume import Volume
from operators.encoder.features import Encoder
from operators.encoder.snapshot import Snapshot
from operators.encoder.vision_transformer import EncoderConfig
from operators.heads.head import Head
from operators.imaging.encoder_input import make_encoder_input
from operators.model.model_folder import read_model
from trainer.features.pixel_statistics import PatchPlace, PixelStatistics
from trainer.features.random_features import RandomEncoderSettings, random_state
from trainer.features.slice_encoder import SliceEncoder

Values = Literal["hu", "8-bit", "scanner"]
MEANINGS: dict[Values, ValueMeaning] = {"hu": "HU", "8-bit": "grey levels", "scanner": "scanner units"}
"""As heads know them."""


SMALL = EncoderConfig(
    hidden_size=192,
    num_hidden_layers=4,
    num_attention_heads=3,
    patch_size=16,
    num_channels=1,
    image_size=512,
    use_swiglu_ffn=True,
)
"""What random features have where no model names another architecture."""


class FeatureModel(Protocol):
    """What turns images into features.

    name : in tables
    key : tells features of one model and input contract from all others; part of a file's name
    """

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    def features(self, volume: Volume, values: Values) -> FeatureVolume:
        """CLS and tokens of each slice of a volume whose axes are the encoder's; *values* says what they mean."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceModel:
    """Whatever takes Curia's slices: a snapshot, random weights of its shape, or statistics of its patches."""

    name: str
    key: str
    encoder: SliceEncoder
    settings: EncoderInputSettings
    heads: tuple[Head, ...] = ()

    def features(self, volume: Volume, values: Values) -> FeatureVolume:
        return self.encoder.encode(self.encoder_input(volume, values))

    def encoder_input(self, volume: Volume, values: Values) -> EncoderInput:
        """Its slices as the encoder sees them."""
        settings = self.settings
        if values != "hu":
            # Neither air nor the cast to int16 mean anything where values are no HU; the z-score is each slice's own.
            settings = replace(settings, clip_below_air=False, integer_cast="skip")
        return make_encoder_input(volume, settings)


def open_model(folder: Path, *, device: str = "cpu") -> SliceModel:
    """A model folder, or a bare snapshot of Raidium's layout.

    Raises
    ------
    CheckpointError, ModelDigestError
        As `operators.model.read_model` says.
    """
    model = read_model(folder)
    opened = snapshot_model(f"{model.name} {model.version}".strip(), model.snapshot, device)
    return replace(opened, heads=model.heads.all)


def random_model(like: EncoderConfig = SMALL, *, device: str = "cpu") -> SliceModel:
    """Seeded random weights of an architecture; what the architecture gives without any training."""
    return untrained_model("random", like, random_state(like, RandomEncoderSettings()), device=device)


def untrained_model(name: str, config: EncoderConfig, state: Mapping[str, Tensor], *, device: str) -> SliceModel:
    """Weights that no file holds."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    for tensor_name in sorted(state):
        digest.update(state[tensor_name].numpy().tobytes())
    settings = EncoderInputSettings(image_size=config.image_size)
    return snapshot_model(name, Snapshot(config, settings, dict(state), digest.hexdigest()), device)


def pixel_model(like: EncoderConfig = SMALL) -> SliceModel:
    """Mean, deviation and percentiles of each patch's pixels; what there is without any network."""
    settings = EncoderInputSettings(image_size=like.image_size)
    key = f"pixels-{like.image_size}-{like.patch_size}"
    return SliceModel("pixels", key, PixelStatistics(like.patch_size), settings)


def place_model(like: EncoderConfig = SMALL) -> SliceModel:
    """Where in the image each patch lies and nothing else; what a figure owes to where people put what they image."""
    settings = EncoderInputSettings(image_size=like.image_size)
    key = f"place-{like.image_size}-{like.patch_size}"
    return SliceModel("place", key, PatchPlace(like.patch_size), settings)


def snapshot_model(name: str, snapshot: Snapshot, device: str) -> SliceModel:
    """A snapshot that was read, on a device."""
    encoder = Encoder(snapshot, devices=(device,))
    return SliceModel(name, f"{snapshot.sha256[:24]}-{encoder.precision}", encoder, snapshot.input_settings)
