"""Encoder slices in, features out."""

from typing import Any

from operators.domain.journal import Journal
from operators.encoder.features import Encoder
from operators.framework import Operator, OperatorSpec


class EncoderOperator(Operator):
    """Run the vision transformer over every slice.

    Input ``inputs``: tuple of EncoderInput. Output ``features``: tuple of FeatureVolume, in the same order.
    """

    INPUTS = "inputs"
    FEATURES = "features"

    def __init__(self, fragment: Any, *args: Any, encoder: Encoder, journal: Journal, **kwargs: Any) -> None:
        self._encoder = encoder
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.INPUTS)
        spec.output(self.FEATURES)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        inputs = op_input.receive(self.INPUTS)
        with self._journal.stage("encoder", device=str(self._encoder.device)):
            features = tuple(self._encoder.encode(encoder_input) for encoder_input in inputs)
        op_output.emit(features, self.FEATURES)
