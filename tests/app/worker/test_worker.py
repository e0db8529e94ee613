"""The warm process: JSON lines, nothing else on stdout, and no study takes the next one with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from phantoms import SeriesSpec, build_datasets, save_series
from raw_headers import written_with

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


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2> >(true)"], ids=["disk full", "reader gone"])
def test_a_log_that_cannot_be_written_takes_nothing_with_it(tmp_path: Path, stderr: str):
    """A Modality of two values once was a defect, of which the worker died while it logged it."""
    first, *others = save_series(build_datasets(SeriesSpec(shape=(4, 32, 32))), tmp_path / "two")
    for path in others:
        path.write_bytes(written_with(dcmread(path), character_set="ISO_IR 100", Modality=b"CT\\\0"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    requests = [
        {"verb": "read", "id": "0", "input": str(tmp_path / "two"), "output": str(tmp_path / "out0")},
        {"verb": "read", "id": "1", "input": str(first.parent), "output": str(tmp_path / "file" / "out")},
        {"verb": "read", "id": "2", "input": str(tmp_path / "empty"), "output": str(tmp_path / "out2")},
    ]
    process = subprocess.run(
        ["bash", "-c", f'exec "$@" {stderr}', "bash", sys.executable, "-m", "app.worker", "--device", "cpu"],
        cwd=ROOT,
        input="".join(json.dumps(request) + "\n" for request in requests),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    _, *replies = map(json.loads, process.stdout.splitlines())
    assert [(reply["id"], reply["exit_code"]) for reply in replies] == [("0", 0), ("1", 1), ("2", 4)]


def test_a_model_that_does_not_load_is_said_so(tmp_path: Path):
    process = subprocess.run(
        [sys.executable, "-m", "app.worker", "-m", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 5
    assert json.loads(process.stdout)["code"] == "checkpoint-invalid"
