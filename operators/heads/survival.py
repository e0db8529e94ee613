"""Time to an event: Cox's proportional hazards on one vector for the series.

The hazard is h(t) = h_0(t) exp(w (x - mean)); the curve S(t) = exp(-H_0(t) exp(w (x - mean))), where the cumulative
baseline hazard H_0 is a step function (Breslow's estimate), fitted with the weights and stored beside them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from operators.domain.finding import Finding
from operators.errors import CheckpointError
from operators.heads.head import HeadAnswer, HeadFolder, SeriesFeatures
from operators.heads.linear import WEIGHTS, first_length, read_weights
from operators.heads.pooled import PooledHead, PooledRecord
from operators.heads.values import ValueRecord, measurement_of, unanswered_value


class SurvivalRecord(ValueRecord, PooledRecord):
    """head.toml of a Cox model.

    event : what the time runs to, say "death"
    horizons_days : for which the probability of no event until then is told; empty for the whole curve, step by step
    """

    task: Literal["survival"]
    kind: Literal["cox"]
    event: str
    horizons_days: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalHead(PooledHead):
    """A Cox model with its baseline hazard.

    weight, mean : (F,)
    days, hazard : (T,) steps of the cumulative baseline hazard, both rising
    """

    record: SurvivalRecord
    weight: NDArray[np.float32]
    mean: NDArray[np.float32]
    days: NDArray[np.float32]
    hazard: NDArray[np.float32]

    def answer(self, vector: Tensor, series: SeriesFeatures) -> HeadAnswer:
        record, values = self.record, vector.cpu().numpy()
        ratio = measurement_of(record, series, self.hazard_ratio(values), suffix=", hazard ratio")
        told = np.array(record.horizons_days) if record.horizons_days else self.days
        points = (
            measurement_of(record, series, float(value), suffix=f", no {record.event} until day {days:g}")
            for days, value in zip(told, self.curve(values, told), strict=True)
        )
        return HeadAnswer(measurements=(ratio, *points))

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return unanswered_value(self.record, series, reason)

    def hazard_ratio(self, vector: NDArray[np.floating]) -> float:
        """Hazard of this series over that of the training set's mean."""
        return float(np.exp(np.float64(self.weight @ (vector - self.mean))))

    def curve(self, vector: NDArray[np.floating], days: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,): probability of no event until each of *days*; 1 before the first step."""
        steps = np.searchsorted(self.days, days, side="right")
        cumulative = np.concatenate([[0.0], np.asarray(self.hazard, np.float64)])[steps]
        return np.asarray(np.exp(-cumulative * self.hazard_ratio(vector)), np.float64)


def read_head(folder: HeadFolder) -> SurvivalHead:
    record, place = folder.record(SurvivalRecord), f"{folder.path.name}/{WEIGHTS}"
    width, steps = len(record.inputs) * folder.width, first_length(folder.path, "baseline_days")
    shapes = {"weight": (width,), "mean": (width,), "baseline_days": (steps,), "baseline_hazard": (steps,)}
    tensors = read_weights(folder.path, shapes)
    for name in ("baseline_days", "baseline_hazard"):
        if (np.diff(tensors[name]) < 0).any() or (tensors[name] < 0).any():
            raise CheckpointError(f"{place}: {name}: expected values that rise from 0")
    if max(record.horizons_days, default=0.0) > tensors["baseline_days"][-1]:
        raise CheckpointError(
            f"{folder.path.name}/head.toml: horizons_days: the baseline hazard ends after "
            f"{tensors['baseline_days'][-1]:g} days, {max(record.horizons_days):g} lie beyond it"
        )
    return SurvivalHead(
        record,
        folder.algorithm(record),
        tensors["weight"],
        tensors["mean"],
        tensors["baseline_days"],
        tensors["baseline_hazard"],
    )
