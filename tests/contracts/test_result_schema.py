"""The schema of ``result.json`` is published: other people's programs rely on it, so that a change is meant."""

import json
from pathlib import Path

from operators.study_run.manifest import ResultManifest

FROZEN = Path(__file__).with_name("result.schema.json")


def test_the_schema_is_the_published_one():
    """Where a change is meant: python -m app --print-schema > tests/contracts/result.schema.json, and CHANGELOG.md."""
    assert ResultManifest.model_json_schema(by_alias=True) == json.loads(FROZEN.read_text(encoding="utf-8"))
