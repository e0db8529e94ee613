"""The work list's JSON is a contract: who reads it finds what the schema beside this file says."""

import json
from pathlib import Path
from typing import Any

from orthanc_plugin.web.work_list import WorkList

SCHEMA = Path(__file__).with_name("work_list.schema.json")


def without_words(schema: Any) -> Any:
    """The schema without what is said about it, which may change."""
    if isinstance(schema, dict):
        words = ("description", "title") if "type" in schema or "$ref" in schema or "anyOf" in schema else ()
        return {key: without_words(value) for key, value in schema.items() if key not in words}
    return [without_words(one) for one in schema] if isinstance(schema, list) else schema


def test_the_work_list_keeps_its_schema() -> None:
    """After a change that is meant: write what ``without_words`` gives of it."""
    assert without_words(WorkList.model_json_schema(mode="serialization")) == json.loads(SCHEMA.read_text())
