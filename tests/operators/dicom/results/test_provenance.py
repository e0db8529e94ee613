from dataclasses import replace

import pytest

from phantoms import SeriesSpec, build_source_series
from result_cases import PROVENANCE, build_case


@pytest.mark.parametrize("field", ["model_name", "software_versions", "model_digest", "settings_digest"])
def test_another_model_code_or_setting_is_another_device(field):
    other = replace(PROVENANCE, **{field: "other"})
    assert other.device_uid != PROVENANCE.device_uid
    assert other.device_serial_number != PROVENANCE.device_serial_number


def test_every_statement_says_research_and_a_demonstration_says_so():
    real = replace(PROVENANCE, demonstration=False)
    for text in (PROVENANCE.use_statement, real.use_statement, PROVENANCE.series_description("AI findings")):
        assert "research use only" in text.lower()
    assert "demonstration" in PROVENANCE.series_description("x")
    assert "Demonstration" in PROVENANCE.use_statement
    assert "emonstration" not in real.use_statement + real.series_description("x")
    assert len(PROVENANCE.series_description("AI segmentation")) <= 64  # LO


@pytest.fixture(scope="module")
def objects():
    case = build_case(build_source_series(SeriesSpec()))
    segmentation = case.segmentation()
    return segmentation, case.report([segmentation])


def test_the_values_agree_as_ihe_air_asks(objects):
    """IHE AIR 6.5.3.1: Contributing Equipment, General Equipment, SEG, TID 1004 and TID 4019 name one producer."""
    segmentation, report = objects
    producer = (PROVENANCE.manufacturer, PROVENANCE.model_name, PROVENANCE.software_versions)
    for dataset in objects:
        assert (dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions) == producer
        (ours,) = [item for item in dataset.ContributingEquipmentSequence if "DeviceUID" in item]
        assert (ours.Manufacturer, ours.ManufacturerModelName, ours.SoftwareVersions) == producer
        assert ours.DeviceUID == PROVENANCE.device_uid
        assert ours.DeviceSerialNumber == dataset.DeviceSerialNumber
        purpose = ours.PurposeOfReferenceCodeSequence[0]
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    for segment in segmentation.SegmentSequence:
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmSource, algorithm.AlgorithmName, algorithm.AlgorithmVersion) == producer
    assert _values(report, "121012") == {PROVENANCE.device_uid}
    assert (_values(report, "121014"), _values(report, "122405")) == ({producer[0]}, {producer[0]})
    assert (_values(report, "121015"), _values(report, "111001")) == ({producer[1]}, {producer[1]})
    assert _values(report, "111003") == {producer[2]}


def test_each_result_names_the_head_that_made_it(objects):
    segmentation, report = objects
    algorithm = segmentation.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert f"head=organs,head_version=1,head_sha256={'1' * 64}" in algorithm.AlgorithmParameters
    assert {"head=organs", "head=region", "head=mass"} <= _values(report, "111002")


def _values(item, code):
    """Texts and UIDs of every content item with this concept name, anywhere in the tree."""
    found = set()
    for child in item.get("ContentSequence", []):
        if child.ConceptNameCodeSequence[0].CodeValue == code:
            found.add(child.get("TextValue") or child.get("UID"))
        found |= _values(child, code)
    return found
