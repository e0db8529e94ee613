"""``result.json`` as the application publishes it and as the service reads it."""

from typing import Any

import pytest
from pydantic import BaseModel

from operators.study_run.manifest import ResultManifest
from orthanc_plugin.pipeline.manifest import Manifest


def fields(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Fields by record, "" for the manifest itself, each with the record that it holds."""
    schema = model.model_json_schema(by_alias=True)
    return {"": schema["properties"]} | {
        name.removesuffix("Record").removesuffix("Entry"): record["properties"]
        for name, record in schema["$defs"].items()
        if "properties" in record
    }


@pytest.mark.parametrize("name", sorted(fields(Manifest)))
def test_the_service_reads_no_field_that_is_not_published(name: str) -> None:
    published = fields(ResultManifest)
    record = {"Warned": "RunWarning"}.get(name, name)
    assert set(fields(Manifest)[name]) <= set(published[record])


@pytest.mark.parametrize(
    "name", ["Series", "Finding", "Localisation", "Measurement", "Registration", "FollowUp", "Course", "Output"]
)
def test_what_the_work_list_shows_is_read_whole(name: str) -> None:
    assert set(fields(Manifest)[name]) == set(fields(ResultManifest)[name])


def test_the_published_schema_reads_as_the_services_own() -> None:
    published = ResultManifest(
        status="completed",
        outputs=(
            {
                "path": "a.dcm", "kind": "SEG", "sop_class_uid": "1", "series_instance_uid": "2",
                "sop_instance_uid": "3", "sha256": "ab", "bytes": 4,
            },
        ),
    )  # fmt: skip
    read = Manifest.model_validate_json(published.model_dump_json(by_alias=True))
    assert [output.model_dump() for output in read.outputs] == [one.model_dump() for one in published.outputs]
