"""Features in, findings out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.heads.head import SeriesFeatures
from operators.heads.readout import predict_findings
from operators.study_run.deployment import Deployment
from operators.study_run.journal import Journal


class FindingsOperator(Operator):
    """Ask every finding head about every series.

    Inputs ``sources``, ``features``: tuples in the same order. Output ``readouts``: tuple of FindingsReadout.
    """

    SOURCES = "sources"
    FEATURES = "features"
    READOUTS = "readouts"

    def __init__(
        self, fragment: Any, *args: Any, deployment: Deployment, device: str, journal: Journal, **kwargs: Any
    ) -> None:
        self._heads = deployment.model.heads
        self._device = device
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.FEATURES)
        spec.output(self.READOUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, features = op_input.receive(self.SOURCES), op_input.receive(self.FEATURES)
        with self._journal.stage("findings", device=self._device):
            readouts = tuple(
                predict_findings(
                    SeriesFeatures(
                        feature_volume,
                        source.volume.geometry,
                        source.modality,
                        source.series_instance_uid,
                        self._device,
                    ),
                    self._heads,
                )
                for source, feature_volume in zip(sources, features, strict=True)
            )
        op_output.emit(readouts, self.READOUTS)
