"""What a registration found, and how far it can be trusted."""

from dataclasses import dataclass
from typing import Literal

from operators.domain.transform import Affine, DisplacementField

TransformKind = Literal["rigid", "affine", "deformable"]
Verdict = Literal["good", "doubtful", "failed"]


@dataclass(frozen=True, slots=True)
class RegistrationQuality:
    """Figures to judge a registration by.

    edge_agreement_before, edge_agreement_after : mean squared cosine between the two images' gradients along the
        body's edges, 0..1; images that have nothing to do with one another give 1/3, slices 1/2
    overlap : share of the fixed body that the moving image shows
    inverse_consistency_error_mm : mean distance from a place when it goes to the moving image and back
    folded_share : share of the body's voxels where the deformation turns space inside out
    log_jacobian_sd : standard deviation of the logarithm of the local change of volume within the body
    """

    edge_agreement_before: float
    edge_agreement_after: float
    overlap: float
    inverse_consistency_error_mm: float
    folded_share: float
    log_jacobian_sd: float


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """The moving image aligned to the fixed one.

    kind : of the step that stands, which may be an earlier one than was asked for
    affine : the whole of a rigid or affine alignment, the first step of a deformable one
    field : of a deformable alignment: all of it, the affine step included; None otherwise
    reasons : for the verdict, in plain words
    remark : which later steps were left out for it, in plain words
    """

    kind: TransformKind
    affine: Affine
    field: DisplacementField | None
    quality: RegistrationQuality
    verdict: Verdict
    reasons: tuple[str, ...]
    remark: str | None = None
