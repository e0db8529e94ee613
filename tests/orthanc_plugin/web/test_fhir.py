"""The FHIR bundle of a result, read by the library's own models."""

import json
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from orthanc_plugin.pipeline.manifest import Manifest
from orthanc_plugin.web.fhir import NOTE, fhir_bundle

UID = "1.2.3"
MASS = {"value": "4147007", "scheme": "SCT", "meaning": "Mass"}
VOLUME = {"value": "118565006", "scheme": "SCT", "meaning": "Volume"}
MILLILITRE = {"value": "mL", "scheme": "UCUM", "meaning": "milliliter"}


def finding(name: str, present: bool | None, probability: float | None = None, **more: Any) -> dict[str, Any]:
    given = {"site": None, "head": "h", "threshold": 0.5, "localisation": None} | more
    return {"name": name, "code": MASS, "present": present, "probability": probability} | given


RESULT = Manifest.model_validate({
    "status": "completed",
    "model": {"name": "demo", "version": "1", "demonstration": True},
    "series": [
        {"series_instance_uid": "1.2.3.4", "modality": "CT", "num_instances": 2, "decision": "selected"},
        {"series_instance_uid": "1.2.3.5", "modality": "CT", "num_instances": 1, "decision": "rejected"},
    ],
    "findings": [
        finding("seen", True, 0.875, site={"value": "87784001", "scheme": "SCT", "meaning": "Soft tissue"}),
        finding("not seen", False, 0.125, code={"value": "x", "scheme": "99SITE", "meaning": "own"}),
        finding("not looked for", None),
    ],
    "measurements": [
        {"name": "volume", "code": VOLUME, "value": 12.5, "unit": MILLILITRE, "series_instance_uid": "1.2.3.4"},
    ],
})  # fmt: skip


@pytest.fixture(scope="module")
def resources() -> dict[str, list[Any]]:
    bundle = Bundle.model_validate_json(fhir_bundle(UID, RESULT))
    found: dict[str, list[Any]] = {}
    for entry in bundle.entry:
        found.setdefault(type(entry.resource).__name__, []).append(entry.resource)
    return found


def test_the_report_refers_to_every_observation_and_to_the_study_and_is_preliminary(resources: Any) -> None:
    bundle = json.loads(fhir_bundle(UID, RESULT))
    (report,) = resources["DiagnosticReport"]
    addresses = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert [addresses[reference.reference] for reference in report.result] == ["Observation"] * 4
    assert [addresses[reference.reference] for reference in report.imagingStudy] == ["ImagingStudy"]
    assert {report.status, *(one.status for one in resources["Observation"])} == {"preliminary"}
    assert report.conclusion == NOTE


def test_present_absent_and_not_evaluated_are_told_apart(resources: Any) -> None:
    seen, not_seen, not_looked_for, _ = resources["Observation"]
    assert seen.valueCodeableConcept.coding[0].code == "52101004"
    assert not_seen.valueCodeableConcept.coding[0].code == "2667000"
    assert not_looked_for.valueCodeableConcept is None
    assert not_looked_for.dataAbsentReason.coding[0].code == "not-performed"
    assert seen.component[0].valueQuantity.value == Decimal("0.875")
    assert seen.bodySite.coding[0].system == "http://snomed.info/sct"
    assert seen.device.display == "demo 1"


def test_measurements_keep_value_and_unit(resources: Any) -> None:
    quantity = resources["Observation"][3].valueQuantity
    assert (quantity.value, quantity.code, quantity.system) == (Decimal("12.5"), "mL", "http://unitsofmeasure.org")


def test_the_imaging_study_is_named_by_its_uid_and_holds_the_series_that_was_read(resources: Any) -> None:
    (study,) = resources["ImagingStudy"]
    assert study.identifier[0].value == f"urn:oid:{UID}"
    assert [series.uid for series in study.series] == ["1.2.3.4"]


def test_the_same_result_gives_the_same_text() -> None:
    assert fhir_bundle(UID, RESULT) == fhir_bundle(UID, RESULT)
