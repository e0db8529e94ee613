"""Encoder slices in, features out."""

from pathlib import Path
from typing import Any

from operators.domain.features import EncoderInput, FeatureVolume
from operators.encoder.feature_cache import FeatureCache
from operators.encoder.features import Encoder
from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal


class EncoderOperator(Operator):
    """Run the vision transformer over every slice, or take its features from the cache where there is one.

    blocks : of which the heads read the outputs before the final norm

    Input ``inputs``: tuple of EncoderInput. Output ``features``: tuple of FeatureVolume, in the same order.
    """

    INPUTS = "inputs"
    FEATURES = "features"

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        encoder: Encoder,
        cache: FeatureCache | None,
        blocks: int,
        scratch: Path,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._encoder = encoder
        self._cache = cache
        self._blocks = blocks
        self._scratch = scratch
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.INPUTS)
        spec.output(self.FEATURES)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        inputs = op_input.receive(self.INPUTS)
        features = self._encode(inputs) if self._cache is None else self._encode_cached(inputs, self._cache)
        op_output.emit(features, self.FEATURES)

    def _encode(self, inputs: tuple[EncoderInput, ...]) -> tuple[FeatureVolume, ...]:
        with self._journal.stage("encoder", device=",".join(self._encoder.devices)):
            return tuple(
                self._encoder.encode(encoder_input, scratch=self._scratch, blocks=self._blocks)
                for encoder_input in inputs
            )

    def _encode_cached(self, inputs: tuple[EncoderInput, ...], cache: FeatureCache) -> tuple[FeatureVolume, ...]:
        with self._journal.stage("feature cache"):
            entries = [cache.entry(encoder_input, self._encoder, blocks=self._blocks) for encoder_input in inputs]
            found = [entry.find() for entry in entries]
        with self._journal.stage("encoder", device=",".join(self._encoder.devices)):
            return tuple(features or entry.encode() for features, entry in zip(found, entries, strict=True))
