"""What happened during one run, kept from the first stage on so that a failed run can tell too."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from operators.errors import CuriaError

if TYPE_CHECKING:
    # The command shows its help without waiting for pydicom.
    from operators.dicom.selection.series_selection import SeriesDecision

BEFORE = "start"
"""Name of the stage that was over when the journal was opened."""


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    seconds: float
    device: str


@dataclass(frozen=True, slots=True)
class RunWarning:
    """Something the reader of the results should know; ``code`` is a stable word."""

    code: str
    message: str


@dataclass(slots=True)
class RunJournal:
    """Stages in order, warnings, and what was decided about each series.

    announce : called with the name of each stage when it begins, for whoever shows progress
    decisions : about every series of the study, there before anything can fail on pixels
    shortfall : why a part of the study could not be read, although the rest was
    """

    announce: Callable[[str], None] = lambda name: None
    stages: list[Stage] = field(default_factory=list)
    warnings: list[RunWarning] = field(default_factory=list)
    decisions: "tuple[SeriesDecision, ...]" = ()
    shortfall: CuriaError | None = None
    _started: float = field(default_factory=time.perf_counter)
    _lent: float = 0.0
    study_instance_uid: str | None = None

    @contextmanager
    def stage(self, name: str, *, device: str = "cpu") -> Iterator[None]:
        """Book the seconds of the block under *name*."""
        self.announce(name)
        start, lent = time.perf_counter(), self._lent
        try:
            yield
        finally:
            seconds = time.perf_counter() - start - (self._lent - lent)
            self.stages.append(Stage(name, round(seconds, 4), device))

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Work of the earlier stage *name* that is done while another is under way; its seconds go to *name*."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._lent += seconds
            index = next(k for k, stage in enumerate(self.stages) if stage.name == name)
            earlier = self.stages[index]
            self.stages[index] = replace(earlier, seconds=round(earlier.seconds + seconds, 4))

    def close(self) -> None:
        """Account for the time between the stages (the framework's own), so that the stages add up to the run's."""
        inside = sum(stage.seconds for stage in self.stages if stage.name != BEFORE)
        elapsed = time.perf_counter() - self._started
        self.stages.append(Stage("framework", round(max(elapsed - inside, 0.0), 4), "cpu"))

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(RunWarning(code, message))
