"""Features in, findings out."""

from typing import Any

from operators.framework import Operator, OperatorSpec
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

    def __init__(self, fragment: Any, *args: Any, deployment: Deployment, journal: Journal, **kwargs: Any) -> None:
        self._heads = deployment.model.heads
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.FEATURES)
        spec.output(self.READOUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, features = op_input.receive(self.SOURCES), op_input.receive(self.FEATURES)
        with self._journal.stage("findings"):
            readouts = tuple(
                predict_findings(
                    feature_volume,
                    self._heads,
                    modality=source.modality,
                    series_instance_uid=source.series_instance_uid,
                )
                for source, feature_volume in zip(sources, features, strict=True)
            )
        op_output.emit(readouts, self.READOUTS)
