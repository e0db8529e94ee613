"""Features in, ``features.safetensors`` out."""

from pathlib import Path
from typing import Any

from operators.encoder.feature_file import write_features
from operators.framework import Operator, OperatorSpec
from operators.study_run.journal import Journal


class FeaturesWriterOperator(Operator):
    """Write the encoder's output for people who do their own analysis, and pass it on.

    Inputs ``sources``, ``encoded``: tuples in the same order. Output ``features``: the latter, unchanged.
    """

    SOURCES = "sources"
    ENCODED = "encoded"
    FEATURES = "features"

    def __init__(
        self, fragment: Any, *args: Any, folder: Path, with_tokens: bool, journal: Journal, **kwargs: Any
    ) -> None:
        self._folder = folder
        self._with_tokens = with_tokens
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.ENCODED)
        spec.output(self.FEATURES)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, features = op_input.receive(self.SOURCES), op_input.receive(self.ENCODED)
        by_series = {
            source.series_instance_uid: feature_volume for source, feature_volume in zip(sources, features, strict=True)
        }
        with self._journal.stage("features"):
            write_features(by_series, self._folder, with_tokens=self._with_tokens)
        op_output.emit(features, self.FEATURES)
