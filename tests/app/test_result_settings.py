"""The ``[results]`` table from the file of a site to what lies in the output folder."""

import json
from pathlib import Path

import pydicom
import pytest

from app.application import StudyRequest
from app.pipeline import Pipeline
from app.run import run_study
from app.settings import DEMO_MODEL, Settings
from operators.errors import InputError, ModelError
from operators.study_run.journal import RunJournal
from phantoms import SeriesSpec, build_datasets, save_series

SITE = """
[results]
objects = ["PDF", "SR"]
html_preview = true
institution_name = "Institut Pasteur-Vallery-Radot, Médecine nucléaire"
series_descriptions = { SR = "KI-Befund" }
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    file = tmp_path_factory.mktemp("site") / "site.toml"
    file.write_text(SITE, encoding="utf-8")
    return Pipeline.load(DEMO_MODEL, Settings.read(file, device="cpu"))


def test_a_run_writes_what_the_site_asks_for(pipeline: Pipeline, tmp_path: Path):
    save_series(build_datasets(SeriesSpec(shape=(3, 32, 32))), tmp_path / "in")
    run_study(pipeline, StudyRequest(tmp_path / "in", tmp_path / "out"), RunJournal())
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [output["kind"] for output in result["outputs"]] == ["SR", "PDF"]
    assert result["settings"]["result_objects"] == "SR PDF"
    assert all(finding["localisation"] is None for finding in result["findings"])
    report, document = (pydicom.dcmread(tmp_path / "out" / output["path"]) for output in result["outputs"])
    assert report.InstitutionName == document.InstitutionName == "Institut Pasteur-Vallery-Radot, Médecine nucléaire"
    assert report.SeriesDescription == "KI-Befund (research use only, demonstration model)"
    assert "body region" in (tmp_path / "out" / "preview.html").read_text(encoding="utf-8")

    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        run_study(pipeline, StudyRequest(tmp_path / "empty", tmp_path / "out"), RunJournal())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]


def test_other_results_are_another_pipeline(pipeline: Pipeline):
    assert Pipeline.load(DEMO_MODEL, Settings(device="cpu")).deployment.digest != pipeline.deployment.digest


def test_a_wrong_table_is_named_with_its_key(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text('[results]\nobjects = ["SR", "STL"]\n')
    with pytest.raises(ModelError, match="settings: results.objects .*'STL'"):
        Settings.read(file)
