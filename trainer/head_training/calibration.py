"""From a head's scores about held-out patients to probabilities, operating points and what head.toml says of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from operators.heads.calibration import Calibration, Output, Platt, calibrated, exclusive_probabilities
from operators.heads.ordinal import grade_probabilities
from trainer.head_training.families import Family
from trainer.heads.calibrating import Method, fit_isotonic, fit_output_temperature, fit_platt, fit_temperature
from trainer.heads.operating_points import OperatingRule, choose_threshold

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibratedOutputs:
    """How scores become probabilities.

    temperature : that all scores are divided by
    outputs : one for each label
    """

    family: Family
    temperature: float
    outputs: tuple[Output, ...]

    def probabilities(self, scores: Floats) -> Floats:
        """(n, C) of the head's scores, as `operators.heads.classes` makes them."""
        plain = plain_probabilities(scores, self.family, self.temperature)
        columns = [
            [calibrated(float(value), output) for value in column]
            for column, output in zip(plain.T, self.outputs, strict=True)
        ]
        return np.array(columns).T

    def called(self, probabilities: Floats) -> Floats:
        """(n, C) of 1 and 0, nan for an output without a threshold; of exclusive classes the likeliest alone."""
        thresholds = np.array([np.nan if out.threshold is None else out.threshold for out in self.outputs])
        present = (probabilities >= thresholds).astype(float)
        if self.family != "labels" and len(self.outputs) > 1:
            likeliest = probabilities.argmax(axis=1)[:, None] == np.arange(len(self.outputs))
            present = present * likeliest
        return np.where(np.isnan(thresholds), np.nan, present)


def calibrate(
    scores: Floats,
    present: Floats,
    *,
    family: Family,
    method: Method,
    rule: OperatingRule,
    names: Sequence[str],
    source: str,
) -> CalibratedOutputs:
    """Fit on scores about patients that no fit saw.

    scores : (n, S); present : (n, C) of 0, 1 and nan
    source : of the patients, in words, for the operating points
    """
    temperature = 1.0
    if family == "classes" and method == "temperature":
        temperature = fit_temperature(scores, present.argmax(axis=1))
    plain = plain_probabilities(scores, family, temperature)
    outputs = []
    for number in range(len(names)):
        told = np.isfinite(present[:, number])
        shown, is_present = plain[told, number], present[told, number] == 1
        curve = _curve(shown, is_present, "none" if family == "classes" and method == "temperature" else method)
        values = np.array([calibrated(float(value), Output(calibration=curve)) for value in shown])
        threshold = choose_threshold(values, is_present, rule)
        words = "" if threshold is None else f"{rule.words}, {source}"
        outputs.append(Output(calibration=curve, threshold=threshold, operating_point=words))
    return CalibratedOutputs(family, temperature, tuple(outputs))


def finding_curve(scores: Floats, present: NDArray[np.bool_], method: Method) -> Platt:
    """What turns the (n,) scores of a finding into its log odds, as its head.toml has it."""
    return fit_platt(scores, present) if method == "platt" else Platt(method="platt", slope=1.0, intercept=0.0)


def plain_probabilities(scores: Floats, family: Family, temperature: float) -> Floats:
    """(n, C) before any output's own calibration."""
    if family == "labels":
        return np.asarray(expit(scores / temperature), np.float64)
    if family == "grades":
        return np.stack([grade_probabilities(steps) for steps in scores / temperature])
    return exclusive_probabilities(scores, temperature)


def presence(targets: Floats, family: Family, num_labels: int) -> Floats:
    """(n, C) of 0, 1 and nan: what is true of each output."""
    return targets if family in ("labels", "finding") else np.eye(num_labels)[targets[:, 0].astype(int)]


def _curve(probabilities: Floats, present: NDArray[np.bool_], method: Method) -> Calibration | None:
    if method == "none" or present.all() or not present.any():
        return None
    scores = np.asarray(logit(np.clip(probabilities, 1e-12, 1 - 1e-12)), np.float64)
    if method == "temperature":
        return fit_output_temperature(scores, present)
    return fit_platt(scores, present) if method == "platt" else fit_isotonic(scores, present)
