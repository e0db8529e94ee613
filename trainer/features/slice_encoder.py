"""What stands in an encoder's place when features are compared."""

from typing import Protocol

from operators.domain.features import EncoderInput, FeatureVolume


class SliceEncoder(Protocol):
    """An encoder, or what is compared with one."""

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume: ...
