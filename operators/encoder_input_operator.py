"""Volumes in, encoder slices out."""

from typing import Any

from operators.domain.features import EncoderInputSettings
from operators.domain.journal import Journal
from operators.domain.volume import Volume
from operators.framework import Operator, OperatorSpec
from operators.imaging.array_module import ArrayModule
from operators.imaging.encoder_input import make_encoder_input


class EncoderInputOperator(Operator):
    """Reorient, resample and normalise each volume as the encoder was trained on, on the GPU where there is one.

    Input ``sources``: tuple of SourceSeries. Output ``inputs``: tuple of EncoderInput, in the same order.
    """

    SOURCES = "sources"
    INPUTS = "inputs"

    def __init__(
        self,
        fragment: Any,
        *args: Any,
        settings: EncoderInputSettings,
        array_module: ArrayModule,
        journal: Journal,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._array_module = array_module
        self._journal = journal
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input(self.SOURCES)
        spec.output(self.INPUTS)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        sources = op_input.receive(self.SOURCES)
        with self._journal.stage("resampling", device=self._array_module.device):
            inputs = tuple(make_encoder_input(self._on_device(source.volume), self._settings) for source in sources)
        op_output.emit(inputs, self.INPUTS)

    def _on_device(self, volume: Volume) -> Volume:
        return Volume(self._array_module.asarray(volume.array), volume.geometry)
