"""A study's results in FHIR R4: a DiagnosticReport, an Observation for each finding and measurement, an ImagingStudy.

Nothing of the patient's is known here, so the resources refer to the study by its UID and leave the subject to whoever
takes them. All are preliminary and marked as research.
"""

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir.resources.R4B.bundle import Bundle

from orthanc_plugin.pipeline.manifest import Code, Finding, Manifest, Measurement

NOTE = "Research use only. Output of an algorithm that nobody has verified; not for diagnosis or treatment."
SUBJECT = {"display": "The patient of the imaging study, as the archive has it"}

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "LN": "http://loinc.org",
    "RADLEX": "http://radlex.org",
}
"""The systems of coding scheme designators (PS3.16 section 8.1 and FHIR's naming systems)."""

_PRESENT = Code(value="52101004", scheme="SCT", meaning="Present")
_ABSENT = Code(value="2667000", scheme="SCT", meaning="Absent")


def fhir_bundle(study_instance_uid: str, result: Manifest) -> str:
    """JSON of a collection, checked against FHIR's own definitions; the same result gives the same text."""
    study = _address(study_instance_uid, "study")
    observations = [
        (_address(study_instance_uid, name), observation) for name, observation in _observations(study, result)
    ]
    report = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": _concept(Code(value="18748-4", scheme="LN", meaning="Diagnostic imaging study")),
        "subject": SUBJECT,
        "imagingStudy": [{"reference": study}],
        "result": [{"reference": address} for address, _ in observations],
        "conclusion": NOTE,
    }
    imaging_study = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study_instance_uid}"}],
        "subject": SUBJECT,
        "series": [
            {"uid": one.series_instance_uid, "modality": _coding(Code(value=one.modality, scheme="DCM", meaning=""))}
            for one in result.series
            if one.decision == "selected"
        ],
    }
    resources = [(_address(study_instance_uid, "report"), report), (study, imaging_study), *observations]
    entries = [{"fullUrl": address, "resource": resource} for address, resource in resources]
    bundle = Bundle.model_validate({"resourceType": "Bundle", "type": "collection", "entry": entries})
    return str(bundle.model_dump_json(exclude_none=True, indent=2))


def _observations(study: str, result: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    common = _common(study)
    if result.model is not None:
        common["device"] = {"display": f"{result.model.name} {result.model.version}"}
    for number, finding in enumerate(result.findings):
        yield f"finding {number}", _of_finding(finding) | common
    for number, measurement in enumerate(result.measurements):
        yield f"measurement {number}", _of_measurement(measurement) | common


def _common(study: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "subject": SUBJECT,
        "derivedFrom": [{"reference": study}],
        "note": [{"text": NOTE}],
    }


def _of_finding(finding: Finding) -> dict[str, Any]:
    observation: dict[str, Any] = {"code": _concept(finding.code) | {"text": finding.name}}
    if finding.site is not None:
        observation["bodySite"] = _concept(finding.site)
    if finding.present is None:
        observation["dataAbsentReason"] = {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                    "code": "not-performed",
                    "display": "Not Performed",
                }
            ]
        }
    else:
        observation["valueCodeableConcept"] = _concept(_PRESENT if finding.present else _ABSENT)
    if finding.probability is not None:
        quantity = {"value": finding.probability, "system": SYSTEMS["UCUM"], "code": "1"}
        observation["component"] = [{"code": {"text": "probability"}, "valueQuantity": quantity}]
    return observation


def _of_measurement(measurement: Measurement) -> dict[str, Any]:
    unit = measurement.unit
    quantity = {"value": measurement.value, "unit": unit.meaning, "system": SYSTEMS["UCUM"], "code": unit.value}
    return {"code": _concept(measurement.code) | {"text": measurement.name}, "valueQuantity": quantity}


def _concept(code: Code) -> dict[str, Any]:
    return {"coding": [_coding(code)]}


def _coding(code: Code) -> dict[str, Any]:
    coding = {"system": SYSTEMS.get(code.scheme, f"urn:curia-pacs:scheme:{code.scheme}"), "code": code.value}
    return coding | ({"display": code.meaning} if code.meaning else {})


def _address(study_instance_uid: str, name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{study_instance_uid} {name}')}"
