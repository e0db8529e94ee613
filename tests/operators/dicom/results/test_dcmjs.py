"""dcmjs, which most browsers' viewers read with, finds every mask on its slice and every measurement of a report."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phantoms import SeriesSpec, build_source_series
from result_cases import LABELS, build_case, save

ROOT = Path(__file__).parents[4]
LIBRARY = ROOT / "build" / "node" / "node_modules" / "dcmjs"
SPEC = SeriesSpec(shape=(14, 15, 19), pixel_spacing=(3.5, 3.0), slice_spacing=4.0, descending=True)


def _read(script: str, path: Path) -> Any:
    node = shutil.which("node")
    assert node, "node is missing: install the nodejs package"
    assert LIBRARY.exists(), f"{LIBRARY} is missing: make test installs it"
    command = [node, ROOT / "tests" / "node" / script, LIBRARY, path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_dcmjs_finds_every_mask_on_its_slice(segmentation_type, tmp_path):
    case = build_case(build_source_series(SPEC))
    read = _read("read_segmentation.mjs", save(case.segmentation(segmentation_type=segmentation_type), tmp_path))
    assert read["type"] == segmentation_type
    segments = {segment["number"]: segment for segment in read["segments"]}
    found = np.zeros((len(LABELS), *SPEC.shape), np.uint8)
    headers = {header.SOPInstanceUID: k for k, header in enumerate(case.source.headers)}
    for frame in read["frames"]:
        k = headers[frame["instance"]]
        np.testing.assert_allclose(frame["position"], case.source.volume.geometry.positions(np.array([k, 0, 0])))
        pixels = np.array(frame["pixels"]).reshape(SPEC.shape[1:])
        numbers = [frame["segment"]] if frame["segment"] else list(range(1, len(LABELS) + 1))
        for number in numbers:
            found[number - 1, k] = pixels if frame["segment"] else pixels == number
    for segment, mask in zip(case.segments.segments, found, strict=True):
        truth = segment.probability if segmentation_type == "FRACTIONAL" else segment.mask
        np.testing.assert_array_equal(mask, truth)
        described = segments[segment.number]
        assert (described["label"], described["type"]) == (segment.label, segment.type.value)


def test_dcmjs_reads_the_findings_and_what_was_measured(tmp_path):
    case = build_case(build_source_series(SPEC))
    read = _read("read_report.mjs", save(case.report([case.segmentation()]), tmp_path))
    judged = [finding for finding in case.findings if finding.probability is not None]
    findings, measured = read[: len(judged)], read[len(judged) :]
    for finding, group in zip(judged, findings, strict=True):
        assert (group["finding"], group["regions"]) == (finding.code.value, [])
        assert group["measurements"]["122157"] == {"value": finding.probability, "unit": "1"}
    voxel_ml = SPEC.slice_spacing * np.prod(SPEC.pixel_spacing) / 1000
    for segment, group in zip(case.segments.segments, measured, strict=True):
        assert (group["finding"], group["tracking"]) == (segment.type.value, segment.tracking_uid)
        volume = group["measurements"]["118565006"]
        assert volume == {"value": pytest.approx(segment.mask.sum() * voxel_ml), "unit": "mL"}
        (region,) = group["regions"]
        k = case.source.sop_instance_uids.index(region["instance"])
        assert region["type"] == "POLYLINE"
        assert _area(region["points"]) == segment.mask[k].sum() == segment.mask.sum(axis=(1, 2)).max()


def _area(points: list[float]) -> float:
    """Gauss's area formula for the closed polygon x1, y1, x2, y2, ..."""
    x, y = np.reshape(points, (-1, 2)).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)
