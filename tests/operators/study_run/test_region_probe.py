"""The encoder's word against the header's, with the embedded model and the bundled chest CT."""

import os
from pathlib import Path

import numpy as np
import pytest

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from operators.dicom.selection.rules import Role, SelectionRules, default_rules
from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import Instance, StudyIndex, index_study
from operators.dicom.volumes.slices import VolumeCandidate, slices_of
from operators.study_run.region_probe import NUM_SLICES, RegionProbe, look_again, middle_slices
from phantoms import SAGITTAL, SeriesSpec, build_datasets, save_series

CHEST_CT = Path(__file__).parents[2] / "data" / "ct_chest_lidc0314"


@pytest.fixture(scope="module")
def probe() -> RegionProbe:
    probe = Pipeline.load(DEMO_MODEL, Settings(device="cpu")).chain.region_probe
    assert probe is not None
    return probe


@pytest.fixture(scope="module")
def study() -> StudyIndex:
    return index_study(CHEST_CT)


def rules_for(region: str | None) -> SelectionRules:
    role = Role(name="CT", modality="CT", body_region=region)
    return SelectionRules(every=default_rules().every, roles=(role,))


def probability_told(reason: str, before: str) -> float:
    """The number of two decimals that follows *before*, with which the reason begins."""
    assert reason.startswith(before)
    return float(reason[len(before) :][:4])


def test_a_series_of_another_region_is_rejected_with_what_was_seen(probe: RegionProbe, study: StudyIndex):
    rules = rules_for("head")
    (by_header,) = select_series(study, rules)
    assert by_header.selected
    (decision,) = look_again((by_header,), rules, probe)
    assert not decision.selected
    assert probability_told(decision.reasons[0], "the encoder sees chest (") > 0.7


def test_a_series_of_the_region_gains_by_it(probe: RegionProbe, study: StudyIndex):
    rules = rules_for("chest")
    (by_header,) = select_series(study, rules)
    (decision,) = look_again((by_header,), rules, probe)
    assert decision.selected
    assert decision.score > by_header.score
    assert probability_told(decision.reasons[0], "the encoder sees chest, ") > 0.7


def test_nobody_asks_nothing_changes(probe: RegionProbe, study: StudyIndex):
    rules = rules_for(None)
    decisions = select_series(study, rules)
    assert look_again(decisions, rules, probe) is decisions
    assert look_again(decisions, rules_for("head"), None) is decisions


def test_a_series_whose_pixels_cannot_be_read_is_left_to_its_header(probe: RegionProbe, tmp_path: Path):
    for path in save_series(build_datasets(SeriesSpec(shape=(8, 32, 32))), tmp_path):
        os.truncate(path, path.stat().st_size - 100)
    rules = rules_for("head")
    decisions = select_series(index_study(tmp_path), rules)
    assert decisions[0].selected
    assert look_again(decisions, rules, probe) is decisions


@pytest.mark.parametrize("descending", [False, True])
def test_the_middle_is_found_along_the_normal(descending: bool):
    spec = SeriesSpec(shape=(12, 4, 4), row_cosine=SAGITTAL[0], column_cosine=SAGITTAL[1], descending=descending)
    instances = [Instance(Path(f"{k}.dcm"), dataset, True) for k, dataset in enumerate(build_datasets(spec))]
    planes = tuple(plane for instance in instances for plane in slices_of(instance))
    middle = middle_slices(VolumeCandidate(spec.series_instance_uid, "CT", planes))
    expected = [spec.geometry.positions(np.array([k, 0, 0]))[0] for k in range(3, 3 + NUM_SLICES)]
    found = [float(plane.header.ImagePositionPatient[0]) for plane in middle.slices]
    assert found == pytest.approx(expected)
