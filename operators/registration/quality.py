"""Figures that say how far a registration can be trusted, and the verdict they give."""

from dataclasses import dataclass

import torch
from torch import Tensor

from operators.domain.registration import RegistrationQuality, Verdict
from operators.registration.lattice import box_mean


@dataclass(frozen=True, slots=True)
class VerdictThresholds:
    """A figure beyond *failed* makes the registration failed, beyond *doubtful* doubtful.

    edge_agreement : for volumes; chance gives 1/3
    flat_edge_agreement : for single slices; chance gives 1/2
    """

    failed_edge_agreement: float = 0.5
    doubtful_edge_agreement: float = 0.6
    failed_flat_edge_agreement: float = 0.58
    doubtful_flat_edge_agreement: float = 0.64
    failed_overlap: float = 0.15
    doubtful_overlap: float = 0.4
    failed_inconsistency_mm: float = 6.0
    doubtful_inconsistency_mm: float = 2.5
    failed_folded_share: float = 0.02
    doubtful_folded_share: float = 0.001
    doubtful_log_jacobian_sd: float = 0.35


def verdict(
    quality: RegistrationQuality, *, flat: bool, across: bool, thresholds: VerdictThresholds
) -> tuple[Verdict, tuple[str, ...]]:
    """The worst that any figure says, and why in plain words.

    across : the two are of different modalities, whose figures were good for alignments that were 5 mm off, too
    """
    t, q = thresholds, quality
    agreement = (
        (t.failed_flat_edge_agreement, t.doubtful_flat_edge_agreement)
        if flat
        else (t.failed_edge_agreement, t.doubtful_edge_agreement)
    )
    checks = (
        ("edges agree to", -q.edge_agreement_after, -agreement[0], -agreement[1]),
        ("the moving image shows a share of", -q.overlap, -t.failed_overlap, -t.doubtful_overlap),
        (
            "there and back ends off by mm",
            q.inverse_consistency_error_mm,
            t.failed_inconsistency_mm,
            t.doubtful_inconsistency_mm,
        ),
        ("folded share", q.folded_share, t.failed_folded_share, t.doubtful_folded_share),
        ("spread of local volume change", q.log_jacobian_sd, float("inf"), t.doubtful_log_jacobian_sd),
    )
    reasons: list[str] = ["between two modalities, which is never better than doubtful"] if across else []
    worst: Verdict = "doubtful" if across else "good"
    for words, value, failed, doubtful in checks:
        if value > doubtful:
            limit = failed if value > failed else doubtful
            reasons.append(
                f"{words} {abs(value):.3g}, {'failed' if value > failed else 'doubtful'} from {abs(limit):g}"
            )
            worst = "failed" if value > failed or worst == "failed" else "doubtful"
    return worst, tuple(reasons)


def edge_agreement(fixed: Tensor, moved: Tensor, where: Tensor) -> float:
    """Mean squared cosine between the gradients of two (D, H, W) images, weighted by the strength of both edges.

    Haber and Modersitzki's normalised gradient fields (2006): the same for any two modalities.
    0 where nothing is shared.
    """
    if not where.any():
        return 0.0
    slopes = [_gradient(box_mean(image[None])[0]) for image in (fixed, moved)]
    strengths = [slope.square().sum(dim=0) for slope in slopes]
    noise = [strength[where].mean().clamp(min=1e-12) for strength in strengths]
    share = [strength / (strength + level) for strength, level in zip(strengths, noise, strict=True)]
    cosine = (slopes[0] * slopes[1]).sum(dim=0).square() / (strengths[0] * strengths[1]).clamp(min=1e-20)
    weight = share[0] * share[1] * where
    return float((weight * cosine).sum() / weight.sum().clamp(min=1e-12))


def jacobian_determinants(displacements: Tensor) -> Tensor:
    """(d, h, w) local change of volume under (3, d, h, w) displacements in the lattice's own steps."""
    columns = []
    for axis in (1, 2, 3):
        flat = displacements.shape[axis] == 1
        slope = torch.zeros_like(displacements) if flat else torch.gradient(displacements, dim=axis)[0]
        slope[axis - 1] += 1.0
        columns.append(slope)
    # Written out: a decomposition for each of millions of small matrices is slow.
    determinants: Tensor = (columns[0] * torch.linalg.cross(columns[1], columns[2], dim=0)).sum(dim=0)
    return determinants


def folded_share(jacobians: Tensor, where: Tensor) -> float:
    return float((jacobians[where] <= 0).float().mean()) if where.any() else 0.0


def log_jacobian_sd(jacobians: Tensor, where: Tensor) -> float:
    inside = jacobians[where]
    return float(inside.clamp(min=1e-3).log().std()) if len(inside) > 1 else 0.0


def _gradient(image: Tensor) -> Tensor:
    """(3, D, H, W)"""
    return torch.stack(
        [torch.gradient(image, dim=axis)[0] if image.shape[axis] > 1 else torch.zeros_like(image) for axis in range(3)]
    )
