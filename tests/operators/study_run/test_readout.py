from dataclasses import replace
from functools import partial

import pytest
from pydicom import Dataset

from app.settings import DEMO_MODEL
from companion_cases import evidence_of
from operators.dicom.results.result_settings import ResultSettings
from operators.domain.concepts import ABNORMAL_STRUCTURE
from operators.domain.reading import SeriesReading, StudyReading
from operators.heads.labels import Label
from operators.heads.masks import FindingMask
from operators.heads.segments import predict_segments
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from operators.study_run.readout import contrast_of, read_segments
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case
from stack_cases import read_stack


@pytest.mark.parametrize("is_resampled", [False, True])
def test_a_mask_is_made_on_the_volume_and_its_slices_and_the_evidence_comes_along(is_resampled):
    """Of the present mass alone."""
    case = build_case(read_stack("uneven") if is_resampled else build_source_series(SeriesSpec()))
    source, shown = case.source, evidence_of(case)
    mass = replace(case.findings[0], head="soft-tissue-mass-ct", localisation=None)
    deployment = Deployment.of(read_model(DEMO_MODEL), {}, results=ResultSettings(), version="0")
    label = Label(name=mass.name, code=mass.code, category=ABNORMAL_STRUCTURE)
    mask = FindingMask(mass.head, mass.name, label, shown.volume, threshold=-1.0, minimum_volume_ml=0.0)
    place = {"source": source.volume.geometry, "series_instance_uid": source.series_instance_uid}
    draw = partial(predict_segments, (mask,), **place)
    answered = SeriesReading(source, findings=(mass,), evidence=(shown,), draw=draw)
    read = read_segments(StudyReading((answered,)), deployment)
    (series,), (finding,) = read.segments, read.findings
    assert read.evidence == (shown,)
    assert series.series_instance_uid == source.series_instance_uid
    (segment,) = series.segments
    uid = deployment.identity([source]).tracking_uid(source.series_instance_uid, mass.head, mass.name)
    assert segment.tracking_uid == finding.localisation.tracking_uid == uid
    assert {measurement.tracking_uid for measurement in read.measurements} == {uid}
    assert finding.localisation.sop_instance_uid in source.sop_instance_uids
    assert segment.mask.shape == source.volume.geometry.shape
    (on_slices,) = read.slice_segments[0].segments
    assert on_slices.mask.shape == (len(source.headers), source.headers[0].Rows, source.headers[0].Columns)
    assert on_slices.mask.any()


@pytest.mark.parametrize(
    ("agents", "contrast"), [(["", "Iomeprol"], "with"), (["", None], "without"), ([None, None], None)]
)
def test_a_contrast_agent_is_told_where_a_header_has_a_word_about_it(agents: list, contrast: str | None) -> None:
    headers = [Dataset() for _ in agents]
    for header, agent in zip(headers, agents, strict=True):
        if agent is not None:
            header.ContrastBolusAgent = agent
    assert contrast_of(headers) == contrast
