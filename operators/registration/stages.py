"""The steps of an alignment, and which of them stands: none may end worse than what it started from."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from operators.domain.registration import TransformKind
from operators.domain.transform import Affine, DisplacementField, Rigid
from operators.registration.quality import VerdictThresholds

LEAST_GAIN = 1 / 3
"""Of the disagreement of edges; what follows noise alone stays below it (docs/registration.md, column transform)."""
ROUNDING = 1e-4
"""Of equal images edges agree to within it."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What one step has reached.

    error_mm : mean distance from a place when it goes to the moving image and back; of the patient frame, which is no
        step, what the search found
    displacements : (3, D, H, W) before the transform, in steps of the fixed lattice
    edges, overlap : how well edges agree, and the share of the fixed body that the moving image shows
    """

    name: str
    transform: Affine
    error_mm: float
    displacements: Tensor
    edges: float
    overlap: float
    field: DisplacementField | None = None

    @property
    def kind(self) -> TransformKind:
        if self.field is not None:
            return "deformable"
        return "rigid" if isinstance(self.transform, Rigid) else "affine"


def begun_from(stages: Sequence[Stage], thresholds: VerdictThresholds) -> Stage:
    """What a deformation begins from: the stage in which edges agree best, of equals the first.

    The patient frame where edges agree well in it and the search, done there and back, contradicts itself: what was
    found then may fit edges by chance, as anywhere along a limb.

    stages : the patient frame first, what the search found last
    """
    frame, searched = stages[0], stages[-1]
    is_lost = searched.error_mm > thresholds.failed_inconsistency_mm
    is_near = frame.edges >= thresholds.doubtful_edge_agreement and frame.overlap >= thresholds.doubtful_overlap
    return frame if is_lost and is_near else max(_shown(stages, thresholds), key=lambda stage: stage.edges)


def standing(stages: Sequence[Stage], thresholds: VerdictThresholds) -> Stage:
    """The simplest that fits: a later stage stands only where it takes away a third of what an earlier one leaves.

    A transform with more freedom always finds some noise to agree with.
    """
    first, *later = _shown(stages, thresholds)
    for stage in later:
        if stage.edges - first.edges > LEAST_GAIN * (1 - first.edges) + ROUNDING:
            first = stage
    return first


def _shown(stages: Sequence[Stage], thresholds: VerdictThresholds) -> Sequence[Stage]:
    """Without those that show next to nothing of the body, unless all are so: few edges agree by chance."""
    return [stage for stage in stages if stage.overlap >= thresholds.failed_overlap] or stages


def left_out(stages: Sequence[Stage], stands: Stage) -> str | None:
    """Which stages came after the one that stands, with their figures; None where it is the last."""
    later = [
        f"{stage.name} ({stage.edges:.3g}, {stage.error_mm:.2g} mm off there and back)"
        for stage in stages[stages.index(stands) + 1 :]
    ]
    return f"{stands.name} stands (edges agree to {stands.edges:.3g}); left out: {', '.join(later)}" if later else None
