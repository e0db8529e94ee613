"""The one door to MONAI Deploy and Holoscan.

Holoscan links to CUDA's runtime library even where no GPU is used, and its own search path does not cover the wheel
that carries it; so the library is loaded by name before Holoscan is. That makes this import a side effect, the only
one in the project, and is why nothing else may import ``monai.deploy`` or ``holoscan``.
"""

import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, ClassVar

from cuda.pathfinder import load_nvidia_dynamic_lib

from operators.study_run.journal import RunJournal

load_nvidia_dynamic_lib("cudart")

with warnings.catch_warnings():
    # Holoscan recommends a 32 MB stack for pipelines with deep C++ operators; ours are Python.
    warnings.filterwarnings("ignore", message="Current stack size", category=RuntimeWarning)
    from holoscan.logger import LogLevel, set_log_level
    from monai.deploy.conditions import CountCondition
    from monai.deploy.core import Application, Operator, OperatorSpec


def silence_framework() -> None:
    """Keep Holoscan's log off the terminal; the environment's HOLOSCAN_LOG_LEVEL has the last word."""
    set_log_level(LogLevel.OFF)


class Step(Operator):
    """One step of the graph: receive, do one piece of work, emit.

    INPUTS, OUTPUT : names of the ports; `connect` wires steps by them. A step without inputs runs once
    STAGE : what the journal books the work under; None for a step that does so itself
    """

    INPUTS: ClassVar[tuple[str, ...]] = ()
    OUTPUT: ClassVar[str | None] = None
    STAGE: ClassVar[str | None] = None

    device = "cpu"
    """Where the work is done, for the journal."""

    def __init__(self, fragment: Any, *, journal: RunJournal) -> None:
        self.journal = journal
        conditions = () if self.INPUTS else (CountCondition(fragment, 1),)
        super().__init__(fragment, *conditions, name=type(self).__name__)

    def setup(self, spec: OperatorSpec) -> None:
        for port in self.INPUTS:
            spec.input(port)
        if self.OUTPUT:
            spec.output(self.OUTPUT)

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        inputs = [op_input.receive(port) for port in self.INPUTS]
        with self.journal.stage(self.STAGE, device=self.device) if self.STAGE else nullcontext():
            made = self.work(*inputs)
        if self.OUTPUT:
            op_output.emit(made, self.OUTPUT)

    def work(self, *inputs: Any, **_: Any) -> Any:
        """What the step is for: one argument for each input, in their order; what it returns is emitted."""
        raise NotImplementedError


def connect(application: Application, steps: Iterable[Step]) -> None:
    """Wire steps that are given in their order: each input to the latest step before it that emits its name.

    So a record that grows keeps its name from step to step, and an optional step is left out by not being given.
    """
    latest: dict[str, Step] = {}
    for step in steps:
        for port in step.INPUTS:
            application.add_flow(latest[port], step, {(port, port)})
        if step.OUTPUT:
            latest[step.OUTPUT] = step


__all__ = ["Application", "Step", "connect", "silence_framework"]
