"""OHIF 3.13.2 in a real browser over a real Orthanc: results are listed, and drawn where the bodies are."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from companion_cases import encapsulated_pdf, key_objects, parametric_map, results_of, secondary_capture
from integration.ohif_site import ROOT, Step, ohif_url, view_study
from integration.running_site import Site, running_site
from phantoms import SeriesSpec, build_datasets, build_source_series, grid_positions, phantom_mask
from result_cases import LABELS, build_case

pytestmark = pytest.mark.integration

# OHIF 3.13.2 takes the spacing of rows for that of columns when it places outlines: square pixels show what is ours.
SPEC = SeriesSpec(pixel_spacing=(0.9, 0.9))
PICTURES = ROOT / "build" / "ohif"
DEFAULT_STEPS: list[Step] = [("SEG", "AI segmentation", "soft-tissue mass"), ("SR", "AI findings", "Volume: ")]
COMPANION_STEPS: list[Step] = [
    ("SC", "AI key images", "1/1"),
    ("PDF", "AI report", ""),
    ("KO", "KO\nAI key images", "could not be added"),
    ("SR segments", "AI segment measurements", "Measurement Group"),
    ("PM", "AI evidence map", ""),
    ("SR again", "AI findings", "Volume: "),
]


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen of the default results, then of the same study with every kind of result."""
    case = build_case(build_source_series(SPEC))
    report, segmentation = results_of(case)
    companions = [build(case) for build in (key_objects, secondary_capture, encapsulated_pdf, parametric_map)]
    with running_site(tmp_path_factory.mktemp("ohif")) as site, ohif_url(site.orthanc) as url:
        _store(site, [*build_datasets(SPEC), segmentation, report])
        default = view_study(url, SPEC.uid("study"), DEFAULT_STEPS, PICTURES / "default")
        _store(site, [case.segment_report([segmentation]), *companions])
        every = view_study(url, SPEC.uid("study"), DEFAULT_STEPS + COMPANION_STEPS, PICTURES / "every kind")
    return {"default": default, "every kind": every}


def test_the_study_list_tells_of_the_results(viewed):
    assert "CT\\SEG\\SR\n" in viewed["default"]["list"].replace("\t", "")
    assert "CT\\DOC\\KO\\OT\\SEG\\SR\n" in viewed["every kind"]["list"].replace("\t", "")


@pytest.mark.parametrize("results", ["default", "every kind"])
def test_no_exception_is_left_uncaught(viewed, results):
    assert viewed[results]["uncaught"] == []


@pytest.mark.parametrize("results", ["default", "every kind"])
def test_masks_are_drawn_where_the_bodies_are(viewed, results):
    seen = viewed[results]["opened"]["SEG"]
    assert all(f"\n{number}\n{label}" in seen["text"] for number, label in enumerate(LABELS, start=1))
    _assert_around(seen["drawn"]["colored"], *LABELS.values())


@pytest.mark.parametrize(("results", "step"), [("default", "SR"), ("every kind", "SR"), ("every kind", "SR again")])
def test_the_outline_is_drawn_around_the_mass(viewed, results, step):
    seen = viewed[results]["opened"][step]
    assert "Probability: 0.88" in seen["text"]
    _assert_around(seen["drawn"]["outlines"][0], "mass")


def test_the_report_on_segments_is_shown_as_text(viewed):
    text = viewed["every kind"]["opened"]["SR segments"]["text"]
    assert all(f"{label} 1 2.25." in text for label in LABELS)
    assert "Research use only. Not for diagnosis or treatment." in text


def test_captures_are_drawn_with_their_yellow_outline(viewed):
    assert viewed["every kind"]["opened"]["SC"]["drawn"]["colored"]


def _store(site: Site, datasets: Iterable[Dataset]) -> None:
    for dataset in datasets:
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        site.orthanc.http.post("/instances", content=file.getvalue()).raise_for_status()


def _assert_around(box: list[list[float]], *bodies: str) -> None:
    """The box, in LPS mm, lies in a slice and holds the voxels of the bodies there, to within a third of a pixel."""
    geometry = SPEC.geometry
    (slice_index, *_), (last, *_) = geometry.indices(np.array(box))
    assert slice_index == pytest.approx(last) == pytest.approx(round(slice_index))
    positions = grid_positions(geometry)[round(slice_index)]
    inside = positions[np.any([phantom_mask(positions, body) for body in bodies], axis=0)]
    half = np.array([*SPEC.pixel_spacing[::-1], 0.0]) / 2
    np.testing.assert_allclose(box, [inside.min(axis=0) - half, inside.max(axis=0) + half], atol=0.3)
