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


def test_a_stage_stands_where_it_takes_away_a_third_of_what_edges_disagree_by():
    stages = [stage("frame", 0.5), stage("rigid", 0.8), stage("affine", 0.86), stage("last", 0.87)]
    assert standing(stages[:3], THRESHOLDS) is stages[1]
    assert standing(stages, THRESHOLDS) is stages[3]  # a third less than the rigid stage leaves, though not the affine
    assert stages[1].kind == "rigid"
    assert left_out(stages, stages[1]) == (
        "rigid stands (edges agree to 0.8); left out: affine (0.86, 0 mm off there and back), "
        "last (0.87, 0 mm off there and back)"
    )
    assert left_out(stages, stages[3]) is None


def test_of_stages_in_which_all_edges_agree_the_first_stands():
    equal = [stage("frame", 1 - 1e-7), stage("rigid", 1.0)]
    assert standing(equal, THRESHOLDS) is equal[0]


def test_a_deformation_begins_where_edges_agree_best():
    stages = [stage("frame", 0.5), stage("rigid", 0.8), stage("affine", 0.81), stage("last", 0.8)]
    assert begun_from(stages, THRESHOLDS) is stages[2]


def test_a_stage_that_shows_next_to_nothing_of_the_body_does_not_stand():
    stages = [stage("frame", 0.9, overlap=0.1), stage("rigid", 0.6)]
    assert standing(stages, THRESHOLDS) is stages[1]
    assert standing(stages[:1], THRESHOLDS) is stages[0]


def test_a_search_that_contradicts_itself_gives_way_to_a_patient_frame_that_fits():
    fits, lost = stage("frame", 0.67), stage("rigid", 0.72, error_mm=11.0)
    assert begun_from([fits, lost], THRESHOLDS) is fits
    assert begun_from([stage("frame", 0.4), lost], THRESHOLDS) is lost
    assert begun_from([fits, stage("rigid", 0.72, error_mm=1.0)], THRESHOLDS).name == "rigid"
