"""The stand-in of the pipeline in the service's tests says what the real one may say."""

import json
import subprocess
import sys
from pathlib import Path

from app.worker.protocol import Greeting, ReadRequest, Reply
from integration import stand_in_pipeline
from operators.study_run.manifest import ResultManifest
from phantoms import SeriesSpec, build_datasets, save_series


def test_the_stand_in_keeps_the_protocol_and_writes_a_manifest_of_ours(tmp_path: Path) -> None:
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8))), tmp_path / "in")
    (tmp_path / "out").mkdir()
    request = ReadRequest(id="w1", input=tmp_path / "in", output=tmp_path / "out")
    process = subprocess.run(
        [sys.executable, stand_in_pipeline.__file__],
        input=request.model_dump_json() + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    greeting, reply = (json.loads(line) for line in process.stdout.splitlines())
    assert greeting.keys() <= Greeting.model_fields.keys()
    Greeting.model_validate(greeting)
    assert reply.keys() <= Reply.model_fields.keys()
    assert Reply.model_validate(reply).exit_code == 0
    manifest = ResultManifest.model_validate_json((tmp_path / "out" / "result.json").read_bytes())
    assert [output.kind for output in manifest.outputs] == ["SEG", "SR"]
