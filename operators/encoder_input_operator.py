"""Volumes in, encoder slices out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from operators.domain.features import EncoderInput, EncoderInputSettings
from operators.domain.volume import Volume
from operators.framework import Operator, OperatorSpec
from operators.imaging.array_module import ArrayModule
from operators.imaging.encoder_input import make_encoder_input
from operators.study_run.journal import Journal


class EncoderInputOperator(Operator):
    """Check each volume and make ready to reorient, resample and normalise it as the encoder was trained on.

    The slices are made when the encoder asks for them, on the GPU where there is one. Their time counts here, but for
    what a GPU does beside the encoder's own work.

    Input ``sources``: tuple of SourceSeries. Output ``inputs``: tuple of EncoderInput, in the same order.
    """

    SOURCES = "sources"
    INPUTS = "inputs"
    STAGE = "resampling"

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
        with self._journal.stage(self.STAGE, device=self._array_module.device):
            inputs = tuple(self._timed(source.volume) for source in sources)
        op_output.emit(inputs, self.INPUTS)

    def _timed(self, volume: Volume) -> EncoderInput:
        made = make_encoder_input(volume, self._settings, self._array_module)

        def blocks(start: int, size: int) -> Iterator[Any]:
            remaining = made.blocks(start, size)
            while True:
                with self._journal.within(self.STAGE):
                    block = next(remaining, None)
                if block is None:
                    return
                yield block

        return replace(made, blocks=blocks)
