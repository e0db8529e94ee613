"""Which step of an alignment stands, by figures alone."""

import numpy as np
import torch

from operators.domain.transform import Affine, Rigid
from operators.registration.quality import VerdictThresholds
from operators.registration.stages import Stage, begun_from, left_out, standing

THRESHOLDS = VerdictThresholds()


def stage(name: str, edges: float, *, error_mm: float = 0.0, overlap: float = 1.0) -> Stage:
    transform = Affine(np.eye(4)) if name == "affine" else Rigid(np.eye(4))
    return Stage(name, transform, error_mm, torch.zeros(3, 1, 1, 1), edges, overlap)


def test_the_stage_in_which_edges_agree_best_stands_and_of_equals_the_first():
    stages = [stage("frame", 0.5), stage("rigid", 0.8), stage("affine", 0.8)]
    assert standing(stages, THRESHOLDS) is stages[1]
    assert stages[1].kind == "rigid"
    assert left_out(stages, stages[1]) == (
        "rigid stands (edges agree to 0.8); left out: affine (0.8, 0 mm off there and back)"
    )
    assert left_out(stages, stages[2]) is None


def test_a_stage_that_shows_next_to_nothing_of_the_body_does_not_stand():
    stages = [stage("frame", 0.9, overlap=0.1), stage("rigid", 0.6)]
    assert standing(stages, THRESHOLDS) is stages[1]
    assert standing(stages[:1], THRESHOLDS) is stages[0]


def test_a_search_that_contradicts_itself_gives_way_to_a_patient_frame_that_fits():
    fits, lost = stage("frame", 0.67), stage("rigid", 0.72, error_mm=11.0)
    assert begun_from([fits, lost], THRESHOLDS) is fits
    assert begun_from([stage("frame", 0.4), lost], THRESHOLDS) is lost
    assert begun_from([fits, stage("rigid", 0.72, error_mm=1.0)], THRESHOLDS).name == "rigid"
