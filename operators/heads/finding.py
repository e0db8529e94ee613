"""One finding: evidence in each patch token, a calibrated probability for the series."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from operators.domain.features import FeatureVolume
from operators.domain.finding import Algorithm
from operators.domain.volume import Volume
from operators.heads.evidence import cell_evidence
from operators.heads.linear import Linear
from operators.heads.records import FindingRecord, Label


@dataclass(frozen=True, slots=True, eq=False)
class FindingHead:
    record: FindingRecord
    label: Label
    linear: Linear
    algorithm: Algorithm

    def evidence(self, features: FeatureVolume) -> Volume:
        """Log odds of each token, on the token grid."""
        return cell_evidence(features, self.linear, 1)[0]

    def probability(self, evidence: Volume) -> float:
        """That the series shows the finding in any slice."""
        calibration = self.record.calibration
        score = float(slice_scores(evidence, self.record.top_tokens).max())
        return float(expit(calibration.slope * score + calibration.intercept))


def slice_scores(evidence: Volume, top_tokens: int) -> NDArray[np.float32]:
    """(S,): mean evidence of the strongest tokens of each slice."""
    per_slice = np.asarray(evidence.array, np.float32).reshape(evidence.geometry.shape[0], -1)
    strongest: NDArray[np.float32] = np.partition(per_slice, -top_tokens, axis=1)[:, -top_tokens:]
    return np.asarray(strongest.mean(axis=1), np.float32)
