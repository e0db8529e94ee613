"""Everything in, ``result.json`` out, last."""

from pathlib import Path
from typing import Any

from operators.framework import Operator, OperatorSpec
from operators.study_run.deployment import Deployment
from operators.study_run.journal import Journal
from operators.study_run.manifest_entries import completed_manifest
from operators.study_run.output_folder import publish, write_result_manifest


class ResultManifestOperator(Operator):
    """Move the finished files into the output folder and write the manifest after them.

    Inputs ``sources``: tuple of SourceSeries; ``study_readout``: StudyReadout; ``outputs``: tuple of OutputFile.
    """

    SOURCES = "sources"
    STUDY_READOUT = "study_readout"
    OUTPUTS = "outputs"

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        drafts: Path,
        output: Path,
        deployment: Deployment,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._drafts = drafts
        self._output = output
        self._deployment = deployment
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.input(self.STUDY_READOUT)
        spec.input(self.OUTPUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources, study_readout = op_input.receive(self.SOURCES), op_input.receive(self.STUDY_READOUT)
        outputs = op_input.receive(self.OUTPUTS)
        publish(self._drafts, self._output)
        manifest = completed_manifest(
            self._journal, self._deployment, sources=sources, study_readout=study_readout, outputs=outputs
        )
        write_result_manifest(manifest, self._output)
