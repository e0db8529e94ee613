from dataclasses import replace

from app.settings import DEMO_MODEL
from companion_cases import evidence_of
from operators.deployment import Deployment
from operators.dicom.results.result_settings import ResultSettings
from operators.heads.model_folder import read_model
from operators.heads.readout import FindingsReadout
from operators.study_readout import read_out_study
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case


def test_the_evidence_of_each_finding_comes_along():
    """On resampled planes, where no masks are made, so that nothing but the readout speaks."""
    case = build_case(build_source_series(SeriesSpec()))
    source, shown = replace(case.source, is_resampled=True), evidence_of(case)
    readout = FindingsReadout(case.findings, {"soft-tissue mass": shown.volume})
    deployment = Deployment.of(read_model(DEMO_MODEL), {}, results=ResultSettings(), version="0")
    (evidence,) = read_out_study([source], [None], [readout], deployment=deployment).evidence
    assert evidence.finding.name == "soft-tissue mass"
    assert evidence.volume is shown.volume
