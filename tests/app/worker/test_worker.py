"""The warm process: JSON lines, nothing else on stdout, and no study takes the next one with it."""

import json
import subprocess
import sys
from pathlib import Path

from phantoms import SeriesSpec, build_datasets, save_series

ROOT = Path(__file__).parents[3]


def test_studies_one_after_the_other(tmp_path: Path):
    save_series(build_datasets(SeriesSpec(shape=(3, 32, 32))), tmp_path / "good")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    requests = [
        {"verb": "read", "id": "0", "input": str(tmp_path / "good"), "output": str(tmp_path / "file" / "out")},
        {"verb": "read", "id": "1", "input": str(tmp_path / "empty"), "output": str(tmp_path / "out1")},
        {"verb": "read", "id": "2", "input": str(tmp_path / "good"), "output": str(tmp_path / "out2"), "prior": []},
    ]
    lines = "".join(json.dumps(request) + "\n" for request in requests) + "nonsense\n"
    process = subprocess.run(
        [sys.executable, "-m", "app.worker", "--device", "cpu"],
        cwd=ROOT,
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    greeting, unforeseen, first, second, third = map(json.loads, process.stdout.splitlines())
    assert greeting["ready"] is True
    assert greeting["model"]["demonstration"] is True
    assert len(greeting["pipeline_digest"]) == 64
    assert (unforeseen["id"], unforeseen["exit_code"]) == ("0", 1)
    assert (first["id"], first["exit_code"]) == ("1", 4)
    assert (second["id"], second["exit_code"]) == ("2", 0)
    assert third["exit_code"] == 2
    results = [json.loads((tmp_path / name / "result.json").read_text())["status"] for name in ("out1", "out2")]
    assert results == ["failed", "completed"]


def test_a_model_that_does_not_load_is_said_so(tmp_path: Path):
    process = subprocess.run(
        [sys.executable, "-m", "app.worker", "-m", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 5
    assert json.loads(process.stdout)["code"] == "checkpoint-invalid"
