"""The work list's JSON is a contract: who reads it finds what the schema beside this file says."""

import json
from pathlib import Path

from orthanc_plugin.web.work_list import WorkList

SCHEMA = Path(__file__).with_name("work_list.schema.json")


def test_the_work_list_keeps_its_schema() -> None:
    """After a change that is meant: write what ``WorkList.model_json_schema(mode="serialization")`` gives."""
    assert WorkList.model_json_schema(mode="serialization") == json.loads(SCHEMA.read_text())
