"""A region that somebody marked, written by the worker and read back by highdicom."""

import base64
import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from app.pipeline import Pipeline
from app.settings import DEMO_MODEL, Settings
from app.worker.prompting import cut_region, map_similarity
from app.worker.protocol import (
    Coded,
    Judged,
    MarkedRegion,
    MarkRequest,
    Point,
    ReadRequest,
    Region,
    RegionRequest,
    ReviseRequest,
    SimilarityRequest,
)
from app.worker.reading import mark_region, read_study, revise_report
from phantoms import SeriesSpec, build_datasets, save_series

PERSON = "CIRRUS^ANNA"
THRESHOLD = 0.95


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(DEMO_MODEL, Settings.read(None, device="cpu"))


@pytest.fixture(scope="module")
def folder(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marking")
    save_series(build_datasets(SeriesSpec(shape=(4, 64, 64))), folder / "study")
    (folder / "features").mkdir()
    request = ReadRequest(id="r", input=folder / "study", output=folder / "read", features=folder / "features")
    assert read_study(pipeline, request).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def points(folder: Path) -> tuple[Point, ...]:
    """In the middle of the second slice."""
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted((folder / "study").glob("*.dcm"))]
    series = str(headers[0].SeriesInstanceUID)
    (found,) = map_similarity(
        SimilarityRequest(id="s", features=folder / "features", points=(_at(headers[1], series),))
    ).maps
    assert found.series == series
    return (_at(headers[1], series),)


def _at(header: Dataset, series: str) -> Point:
    x, y, z = header.ImagePositionPatient
    along, down = np.array(header.ImageOrientationPatient[:3]), np.array(header.ImageOrientationPatient[3:])
    across = 30 * header.PixelSpacing[1] * along + 30 * header.PixelSpacing[0] * down
    return Point(series=series, point_lps_mm=tuple(np.array([x, y, z]) + across), label=1)


def mark(pipeline: Pipeline, folder: Path, points: tuple[Point, ...], name: str, **more: object) -> list[Dataset]:
    """SEG and SR, in this order."""
    output = folder / f"marked {name}"
    region = MarkedRegion(points=points, threshold=THRESHOLD, name=name, person=PERSON)
    request = MarkRequest(
        id="m", input=folder / "study", output=output, features=folder / "features",
        region=region.model_copy(update=more),
    )  # fmt: skip
    assert mark_region(pipeline, request).exit_code == 0
    entries = {one["kind"]: one["path"] for one in json.loads((output / "result.json").read_text())["outputs"]}
    return [dcmread(output / entries[kind]) for kind in ("SEG", "SR")]


@pytest.fixture(scope="module")
def shown(folder: Path, points: tuple[Point, ...]) -> Region:
    reply = cut_region(RegionRequest(id="c", features=folder / "features", points=points, threshold=THRESHOLD))
    assert reply.region is not None
    return reply.region


@pytest.fixture(scope="module")
def liver(pipeline: Pipeline, folder: Path, points: tuple[Point, ...]) -> list[Dataset]:
    return mark(pipeline, folder, points, "liver")


def test_the_seg_has_the_voxels_that_were_shown(liver: list[Dataset], shown: Region) -> None:
    segmentation = hd.seg.Segmentation.from_dataset(liver[0])
    size = int(np.prod(shown.shape))
    bits = np.unpackbits(np.frombuffer(base64.b64decode(shown.bits), np.uint8), count=size, bitorder="little")
    assert segmentation.get_volume(segment_numbers=[1], combine_segments=True).array.sum() == bits.sum()
    (item,) = segmentation.SegmentSequence
    assert (item.SegmentLabel, item.SegmentAlgorithmType) == ("liver", "SEMIAUTOMATIC")
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert segmentation.ContentCreatorName == PERSON


def test_the_report_names_the_person_and_measures_what_the_page_showed(liver: list[Dataset], shown: Region) -> None:
    segmentation, report = liver
    names = {item.ConceptNameCodeSequence[0].CodeValue: item for item in report.ContentSequence}
    assert names["121008"].PersonName == PERSON
    observers = [
        item.ConceptCodeSequence[0].CodeValue
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121005"
    ]
    assert observers == ["121006", "121007"]
    (group,) = hd.sr.Comprehensive3DSR.from_dataset(report).content.get_volumetric_roi_measurement_groups()
    assert group.tracking_uid == segmentation.SegmentSequence[0].TrackingUID
    values = {one.name.value: one.value for one in group.get_measurements()}
    assert values["118565006"] == pytest.approx(shown.volume_ml)
    assert values["103339001"] == pytest.approx(shown.long_axis_mm)
    assert values["L0JK"] == pytest.approx(shown.longest_diameter_mm)
    # It is no later version of the report on the findings, nor in its series.
    assert "PredecessorDocumentsSequence" not in report


def test_another_word_is_kept_as_it_is_and_another_region_has_its_own_identity(
    pipeline: Pipeline, folder: Path, points: tuple[Point, ...], liver: list[Dataset]
) -> None:
    segmentation, report = mark(pipeline, folder, points, "odd spot")
    (item,) = segmentation.SegmentSequence
    assert (item.SegmentLabel, item.SegmentedPropertyTypeCodeSequence[0].CodeValue) == ("odd spot", "111030")
    for one, other in zip((segmentation, report), liver, strict=True):
        assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert item.TrackingUID != liver[0].SegmentSequence[0].TrackingUID
    again, _ = mark(pipeline, folder, points, "odd spot")
    assert again.SOPInstanceUID == segmentation.SOPInstanceUID
    of_findings = next(one for one in map(dcmread, (folder / "read").glob("*.dcm")) if one.Modality == "SR")
    assert report.SeriesInstanceUID != of_findings.SeriesInstanceUID


@pytest.mark.parametrize(
    ("more", "message"),
    [({"threshold": 1.0}, "choose a lower cut"), ({"name": "\u5fc3"}, "letters that the study's character set lacks")],
)
def test_what_cannot_be_marked_is_said_in_words(
    pipeline: Pipeline, folder: Path, points: tuple[Point, ...], more: dict[str, object], message: str
) -> None:
    datasets = build_datasets(SeriesSpec(shape=(4, 64, 64)))
    for dataset in datasets:
        dataset.SpecificCharacterSet = "ISO_IR 100"
    save_series(datasets, folder / "latin")
    region = MarkedRegion(points=points, threshold=THRESHOLD, name="spot", person="")
    request = MarkRequest(
        id="m", input=folder / "latin", output=folder / "refused", features=folder / "features",
        region=region.model_copy(update=more),
    )  # fmt: skip
    assert mark_region(pipeline, request).exit_code == 4
    assert message in json.loads((folder / "refused" / "result.json").read_text())["reason"]["message"]


def test_a_later_version_of_the_report_lies_in_its_series_with_what_was_said(pipeline: Pipeline, folder: Path) -> None:
    """And a file that is no report is refused in words."""
    (report,) = (folder / "read").glob("SR_*.dcm")
    said = Judged(
        finding="soft-tissue mass", code=Coded(value="4147007", scheme="SCT", meaning="Mass"), tracking_uid=None,
        verdict="rejected", comment="a vessel", person=PERSON, at=1e9,
    )  # fmt: skip
    request = ReviseRequest(id="v", report=report, output=folder / "revised", judgements=(said,))
    assert revise_report(pipeline, request).exit_code == 0
    result = json.loads((folder / "revised" / "result.json").read_text())
    (entry,) = result["outputs"]
    before, after = dcmread(report), dcmread(folder / "revised" / entry["path"])
    assert (result["status"], entry["kind"], entry["series_instance_uid"]) == (
        "completed",
        "SR",
        before.SeriesInstanceUID,
    )
    assert result["study_instance_uid"] == after.StudyInstanceUID == before.StudyInstanceUID
    assert "PredecessorDocumentsSequence" in after
    image = next((folder / "study").glob("*.dcm"))
    refused = request.model_copy(update={"report": image, "output": folder / "no report"})
    assert revise_report(pipeline, refused).exit_code == 4
