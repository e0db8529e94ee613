from dataclasses import replace

from app.settings import DEMO_MODEL
from operators.dicom.results.result_settings import ResultSettings
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from phantoms import SeriesSpec, build_source_series


def test_the_identity_of_a_run_is_a_function_of_sources_settings_and_code():
    model, source = read_model(DEMO_MODEL), build_source_series(SeriesSpec())
    one, other = (replace(source, digest=digit * 64) for digit in "12")
    deployments = [
        Deployment.of(model, settings, results=ResultSettings(), version=version)
        for settings, version in (({}, "1"), ({"zscore_scope": "volume"}, "1"), ({}, "2"))
    ]
    studies = [[one], [other], [one, other]]
    assert len({deployment.identity(study) for deployment in deployments for study in studies}) == 9
    for deployment in deployments:
        assert deployment.identity([one, other]) == deployment.identity([other, one])
