from dataclasses import replace
from io import BytesIO

import pydicom
import pytest

from app.settings import DEMO_MODEL
from conformance_matrix import KINDS, case_of
from operators.dicom.results.result_settings import ResultSettings
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from result_cases import PROVENANCE, RUN


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


IDENTITY_OF = {"Manufacturer": "manufacturer", "ManufacturerModelName": "model_name"} | {
    "SoftwareVersions": "software_versions",
    "DeviceSerialNumber": "device_serial_number",
}
"""General and Contributing Equipment (IHE AIR table 6.5.3.1-1), and what of `Provenance` they say."""

SEGMENT_IDENTITY = {
    "AlgorithmSource": "manufacturer",
    "AlgorithmName": "model_name",
    "AlgorithmVersion": "software_versions",
}
"""Segmentation Algorithm Identification, the table's third column."""

CONTENT_IDENTITY = {
    # concept names of TID 1004 and TID 4019, the table's second column
    "121012": "device_uid",
    "121013": "model_name",
    "121014": "manufacturer",
    "121015": "model_name",
    "121016": "device_serial_number",
    "122405": "manufacturer",
    "111001": "model_name",
    "111003": "software_versions",
}


@pytest.fixture(scope="module")
def objects():
    return {kind: build(case_of("CT axial")) for kind, build in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("keyword", "field"), IDENTITY_OF.items())
def test_equipment_is_the_producer_in_every_object(objects, kind, keyword, field):
    expected = getattr(PROVENANCE, field)
    assert objects[kind][keyword].value == expected
    assert _contribution(objects[kind])[keyword].value == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_device_uid_stands_in_every_object(objects, kind):
    ours = _contribution(objects[kind])
    purpose = ours.PurposeOfReferenceCodeSequence[0]
    assert ours.DeviceUID == PROVENANCE.device_uid
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")


@pytest.mark.parametrize(("keyword", "field"), SEGMENT_IDENTITY.items())
def test_every_segment_names_the_producer(objects, keyword, field):
    for segment in objects["SEG"].SegmentSequence:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert algorithm[keyword].value == getattr(PROVENANCE, field)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("SR")])
@pytest.mark.parametrize(("concept", "field"), CONTENT_IDENTITY.items())
def test_observer_and_algorithms_of_a_report_are_the_producer(objects, kind, concept, field):
    found = _values(objects[kind], concept)
    assert found <= {getattr(PROVENANCE, field)}
    # A report of what nobody judged has an observer but no algorithm.
    assert found or (kind == "SR not evaluated" and not concept.startswith("1210"))


def test_the_observer_of_key_objects_is_the_producer(objects):
    found = {concept: _values(objects["KO"], concept) for concept in CONTENT_IDENTITY if concept.startswith("1210")}
    assert found == {concept: {getattr(PROVENANCE, CONTENT_IDENTITY[concept])} for concept in found}


def test_each_result_names_the_head_that_made_it(objects):
    algorithm = objects["SEG"].SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert f"head=organs,head_version=1,head_sha256={'1' * 64}" in algorithm.AlgorithmParameters
    assert {"head=organs", "head=region", "head=mass"} <= _values(objects["SR"], "111002")


@pytest.mark.parametrize(
    ("settings", "results", "version"),
    [
        ({"zscore_scope": "volume"}, {}, "1"),
        ({}, {"objects": ["SR", "SEG", "PM"]}, "1"),
        ({}, {}, "2"),
    ],
)
def test_another_setting_result_or_code_makes_another_device(settings, results, version):
    model = read_model(DEMO_MODEL)
    first = Deployment.of(model, {}, results=ResultSettings(), version="1").provenance
    other = Deployment.of(model, settings, results=ResultSettings(**results), version=version).provenance
    assert len({first.device_uid, other.device_uid}) == 2
    assert Deployment.of(model, {}, results=ResultSettings(), version="1").provenance == first


@pytest.mark.parametrize("kind", KINDS)
def test_the_sites_names_stand_in_every_object_and_the_patients_survives(kind):
    own = {"SR": "KI-Befund", "SEG": "KI-Maske"}
    site = replace(PROVENANCE, institution_name="Universitätsklinikum Łódź", series_names=own)
    case = replace(case_of("Japanese name"), run=replace(RUN, provenance=site))
    buffer = BytesIO()
    KINDS[kind](case).save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    written = pydicom.dcmread(buffer)
    assert written.InstitutionName == site.institution_name
    assert written.PatientName == case.source.headers[0].PatientName
    name = own.get(kind.split()[0])
    assert "(research use only, demonstration model)" in written.SeriesDescription
    assert name is None or written.SeriesDescription.startswith(name)


def test_a_site_that_names_nothing_changes_nothing(objects):
    assert not any("InstitutionName" in dataset for dataset in objects.values())


def _contribution(dataset):
    (ours,) = [item for item in dataset.ContributingEquipmentSequence if "DeviceUID" in item]
    return ours


def _values(item, code):
    """Texts and UIDs of every content item with this concept name, anywhere in the tree."""
    found = set()
    for child in item.get("ContentSequence", []):
        if child.ConceptNameCodeSequence[0].CodeValue == code:
            found.add(child.get("TextValue") or child.get("UID"))
        found |= _values(child, code)
    return found
