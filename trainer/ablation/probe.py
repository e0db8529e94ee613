"""What frozen features tell of patients that neither encoder nor probe saw: k-NN on CLS, a linear map on tokens."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.ablation.labelled import LabelledScan
from trainer.evaluation.overlap import best_threshold, dice
from trainer.evaluation.predictions import weighted_auc
from trainer.evaluation.probes import balanced_accuracy, nearest_neighbours
from trainer.heads.covered_tokens import STRENGTH, sample_tokens
from trainer.heads.linear import fit_presence

Encode = Callable[[Tensor], Tensor]
"""(n, 1, S, S) slices, z-scored, to (n, 1 + N, D) tokens, CLS first."""

THRESHOLDS = tuple(np.arange(-3.0, 1.01, 0.25).tolist())
BATCH = 16

Figures = Mapping[str, float]


def probe(encode: Encode, scans: Sequence[LabelledScan], *, seed: int = 0) -> dict[str, Figures]:
    """Figures of each held-out patient, "knn/CT", "dice/MR" and the like; one modality at a time.

    knn : balanced accuracy of telling slices with tumour from those without
    dice : of the tokens that the linear map calls tumour, at the threshold that suits the fitted patients
    auc : of the linear map over the patient's tokens
    """
    found: dict[str, dict[str, float]] = {scan.patient: {} for scan in scans if scan.held_out}
    tokens = [_encoded(encode, scan) for scan in scans]
    for modality in sorted({scan.modality for scan in scans}):
        chosen = [k for k, scan in enumerate(scans) if scan.modality == modality]
        fitted = [(tokens[k], scans[k]) for k in chosen if not scans[k].held_out]
        asked = [(tokens[k], scans[k]) for k in chosen if scans[k].held_out]
        for patient, figures in _of_one_modality(fitted, asked, seed=seed).items():
            found[patient] |= {f"{name}/{modality}": value for name, value in figures.items()}
    return dict(found)


Encoded = tuple[Tensor, LabelledScan]


def _of_one_modality(fitted: Sequence[Encoded], asked: Sequence[Encoded], *, seed: int) -> dict[str, Figures]:
    known_cls = torch.cat([tokens[:, 0] for tokens, _ in fitted])
    known = torch.cat([scan.covered.any(dim=1) for _, scan in fitted]).long()
    features, present = sample_tokens(
        ((tokens[:, 1:].flatten(0, 1).numpy(), scan.covered.flatten().numpy()) for tokens, scan in fitted), seed=seed
    )
    linear = fit_presence(features, present, strength=STRENGTH)

    def evidence(tokens: Tensor) -> NDArray[np.float32]:
        flat = tokens[:, 1:].flatten(0, 1).numpy()
        return np.asarray(flat @ linear.weight[0] + linear.bias[0])

    threshold = best_threshold(features @ linear.weight[0] + linear.bias[0], present, THRESHOLDS)
    found: dict[str, Figures] = {}
    for tokens, scan in asked:
        true, scores = scan.covered.flatten().numpy(), evidence(tokens)
        found[scan.patient] = {
            "knn": balanced_accuracy(
                nearest_neighbours(known_cls, known, tokens[:, 0]), scan.covered.any(dim=1).long()
            ),
            "dice": dice(scores > threshold, true),
            "auc": float(weighted_auc(scores.astype(np.float64), true, np.ones((1, len(scores))))[0]),
        }
    return found


@torch.no_grad()
def _encoded(encode: Encode, scan: LabelledScan) -> Tensor:
    """(n, 1 + N, D) float32."""
    starts = range(0, len(scan.images), BATCH)
    return torch.cat([encode(scan.images[start : start + BATCH]).float().cpu() for start in starts])
