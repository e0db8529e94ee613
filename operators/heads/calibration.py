"""From a head's scores to probabilities, as they were fitted on data that the head did not see.

Temperature: Guo et al., "On calibration of modern neural networks" (2017). Logistic: Platt (1999). Isotonic: Zadrozny
and Elkan (2002), here the fitted steps' corners, joined by straight lines.
"""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import expit, logit, softmax

from operators.heads.records import Record

Logits = NDArray[np.float64]


class Temperature(Record):
    """Every score is divided by it: above 1 the head was too sure."""

    method: Literal["temperature"]
    temperature: float = Field(gt=0)

    def __call__(self, scores: Logits) -> Logits:
        return np.asarray(expit(scores / self.temperature))


class Platt(Record):
    """probability = 1 / (1 + exp(-(slope * score + intercept)))"""

    method: Literal["platt"]
    slope: float
    intercept: float

    def __call__(self, scores: Logits) -> Logits:
        return np.asarray(expit(self.slope * scores + self.intercept))


class Isotonic(Record):
    """A curve that never falls, through (scores, probabilities); flat beyond its ends."""

    method: Literal["isotonic"]
    scores: tuple[float, ...] = Field(min_length=2)
    probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.scores) != len(self.probabilities):
            raise ValueError(
                f"expected a probability for each of {len(self.scores)} scores, got {len(self.probabilities)}"
            )
        if any(after <= before for before, after in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError("scores: expected each to be larger than the one before")
        if any(after < before for before, after in zip(self.probabilities, self.probabilities[1:], strict=False)):
            raise ValueError("probabilities: expected none to be smaller than the one before")
        return self

    def __call__(self, scores: Logits) -> Logits:
        return np.interp(scores, self.scores, self.probabilities)


Calibration = Annotated[Temperature | Platt | Isotonic, Field(discriminator="method")]


class Output(Record):
    """What belongs to one output of a head: its calibration, and where it is called present.

    threshold : probability from which the finding is called present; None for an output without an operating point
    operating_point : what the threshold was chosen for, say "sensitivity 0.95 on held-out patients"
    """

    calibration: Calibration | None = None
    threshold: float | None = Field(None, ge=0, le=1)
    operating_point: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.threshold is not None and not self.operating_point:
            raise ValueError("a threshold needs the operating_point that it was chosen for")
        return self


def exclusive_probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> Logits:
    """(..., C): softmax over classes that exclude one another; of a single output the sigmoid."""
    scaled = np.asarray(logits, np.float64) / temperature
    return np.asarray(expit(scaled) if scaled.shape[-1] == 1 else softmax(scaled, axis=-1), np.float64)


def calibrated(probability: float, output: Output) -> float:
    """A probability after the output's own calibration, which is of its log odds."""
    if output.calibration is None:
        return probability
    bounded = np.clip(probability, 1e-12, 1 - 1e-12)
    return float(output.calibration(np.asarray(logit(bounded))))
