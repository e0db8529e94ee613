from dataclasses import replace
from pathlib import Path

import pytest

from app.settings import DEMO_MODEL
from operators.dicom.results.output_file import OutputFile
from operators.dicom.results.result_settings import ResultSettings
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.manifest_entries import completed_manifest
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case

SEG = OutputFile(Path("a.dcm"), "SEG", "1.2", "1.3", "1.4", "0" * 64, 1)


@pytest.mark.parametrize(("outputs", "number"), [([SEG], 3), ([replace(SEG, kind="SR")], None), ([], None)])
def test_a_finding_points_at_a_segment_only_where_one_was_written(outputs, number):
    case = build_case(build_source_series(SeriesSpec()))
    deployment = Deployment.of(read_model(DEMO_MODEL), {}, results=ResultSettings(), version="0")
    manifest = completed_manifest(RunJournal(), deployment, reading=case.reading, registrations=(), outputs=outputs)
    assert manifest.findings[0].localisation.segment_number == number
    assert manifest.findings[0].localisation.tracking_uid == case.segments.segments[2].tracking_uid
