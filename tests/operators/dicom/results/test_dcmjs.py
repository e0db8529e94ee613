"""dcmjs, which most browsers' viewers read Segmentations with, finds every mask on its slice."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from phantoms import SeriesSpec, build_source_series
from result_cases import LABELS, build_case, save

ROOT = Path(__file__).parents[4]
LIBRARY = ROOT / "build" / "node" / "node_modules" / "dcmjs"
SPEC = SeriesSpec(shape=(14, 15, 19), pixel_spacing=(3.5, 3.0), slice_spacing=4.0, descending=True)


def _read(path: Path) -> dict:
    node = shutil.which("node")
    assert node, "node is missing: install the nodejs package"
    assert LIBRARY.exists(), f"{LIBRARY} is missing: run make build/node"
    script = ROOT / "tests" / "node" / "read_segmentation.mjs"
    return json.loads(subprocess.run([node, script, LIBRARY, path], check=True, capture_output=True).stdout)


@pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_dcmjs_finds_every_mask_on_its_slice(segmentation_type, tmp_path):
    case = build_case(build_source_series(SPEC))
    read = _read(save(case.segmentation(segmentation_type=segmentation_type), tmp_path))
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
