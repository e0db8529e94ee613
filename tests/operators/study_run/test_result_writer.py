"""Which files a run leaves, by the settings and by what was found."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from app.settings import DEMO_MODEL
from companion_cases import evidence_of, reading_with_evidence
from operators.dicom.results.result_settings import OBJECT_KINDS, ResultSettings
from operators.domain.reading import PriorReading, SeriesReading, SeriesRegistration, StudyReading
from operators.domain.registration import Registration, RegistrationQuality
from operators.domain.transform import Affine, DisplacementField
from operators.errors import SeriesGeometryError
from operators.model.model_folder import read_model
from operators.study_run.deployment import Deployment
from operators.study_run.journal import RunJournal
from operators.study_run.result_writer import ResultWriter
from phantoms import SeriesSpec, build_source_series
from result_cases import NOW, build_case, negative, reading_of

DEMO_HEADS = {"mass": "soft-tissue-mass-ct", "region": "body-region", "organs": "organs"}
EVERYTHING = ResultSettings(objects=OBJECT_KINDS, html_preview=True)
MAPS_ONLY = ResultSettings(objects=["PM"])


@pytest.fixture(scope="module")
def model():
    return read_model(DEMO_MODEL)


@pytest.fixture(scope="module")
def case():
    """As if the embedded model's heads had said it."""
    case = build_case(build_source_series(SeriesSpec()))
    segments = tuple(replace(segment, head=DEMO_HEADS[segment.head]) for segment in case.segments.segments)
    findings = tuple(replace(finding, head=DEMO_HEADS[finding.head]) for finding in case.findings)
    return replace(case, segments=replace(case.segments, segments=segments), findings=findings)


def with_prior(reading, verdict="good"):
    """As if an earlier study had been laid on it, by a field that moves nothing."""
    (series,) = reading.current
    prior = SeriesReading(build_source_series(SeriesSpec(series="prior", study="prior")))
    grid = series.source.volume.geometry
    field = DisplacementField(np.zeros((3, *grid.shape), np.float32), grid)
    quality = RegistrationQuality(0.3, 0.9, 1.0, 0.1, 0.0, 0.1)
    found = Registration("deformable", Affine(np.eye(4)), field, quality, verdict, ())
    one = SeriesRegistration(series, prior, PriorReading("1.2", 10, {}), found)
    return replace(reading, registrations=(one,))


def written(reading, settings, *, model, folder, shortfall=None):
    """Kinds in the order of ``outputs``, after every file was found to be listed."""
    journal = RunJournal(shortfall=shortfall)
    writer = ResultWriter(folder, NOW, Deployment.of(model, {}, results=settings, version="0"), journal)
    segmentations = writer.write_segmentations(reading)
    reports = writer.write_reports(reading, segmentations, reading.sources[0].headers)
    transforms = [made for one in writer.write_registrations(reading) for made in one.objects]
    results = [*reports, *segmentations, *transforms, *writer.write_companions(reading, [*reports, *segmentations])]
    assert {result.file.path for result in results} == set(folder.glob("*.dcm"))
    return [result.file.kind for result in results]


def test_by_default_a_report_and_a_segmentation(case, model, tmp_path):
    kinds = written(reading_with_evidence(case), ResultSettings(), model=model, folder=tmp_path)
    assert kinds == ["SR", "SEG"]
    assert not (tmp_path / "preview.html").exists()


@pytest.mark.parametrize("shortfall", [None, SeriesGeometryError("series 1.2: two slices lie at the same position")])
def test_a_report_is_complete_where_every_role_could_be_read(case, model, tmp_path, shortfall):
    settings = ResultSettings(objects=["SR"])
    written(reading_with_evidence(case), settings, model=model, folder=tmp_path, shortfall=shortfall)
    (report,) = (pydicom.dcmread(path) for path in tmp_path.glob("SR_*"))
    assert report.CompletionFlag == ("PARTIAL" if shortfall else "COMPLETE")


def test_everything_comes_in_order_of_importance(case, model, tmp_path):
    kinds = written(with_prior(reading_with_evidence(case)), EVERYTHING, model=model, folder=tmp_path)
    assert tuple(kinds) == OBJECT_KINDS
    assert "soft-tissue mass" in (tmp_path / "preview.html").read_text(encoding="utf-8")


def test_key_objects_point_at_the_report_and_the_segmentation_of_the_run(case, model, tmp_path):
    written(reading_with_evidence(case), EVERYTHING, model=model, folder=tmp_path)
    (document,) = (pydicom.dcmread(path) for path in tmp_path.glob("KO_*"))
    names = {path.stem.split("_")[1] for path in (*tmp_path.glob("SR_*"), *tmp_path.glob("SEG_*"))}
    assert names < {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in document.ContentSequence
        if "ReferencedSOPSequence" in item
    }


def test_a_second_report_refers_to_segments(case, model, tmp_path):
    settings = ResultSettings(segment_report=True)
    assert written(reading_with_evidence(case), settings, model=model, folder=tmp_path) == ["SR", "SR", "SEG"]


@pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_the_segmentation_is_of_the_type_that_was_asked_for(segmentation_type, case, model, tmp_path):
    settings = ResultSettings(segmentation_type=segmentation_type)
    written(reading_with_evidence(case), settings, model=model, folder=tmp_path)
    (path,) = tmp_path.glob("SEG_*")
    assert pydicom.dcmread(path, stop_before_pixels=True).SegmentationType == segmentation_type


@pytest.mark.parametrize("kind", OBJECT_KINDS)
def test_each_kind_can_be_written_alone(kind, case, model, tmp_path):
    settings = ResultSettings(objects=[kind])
    assert written(with_prior(reading_with_evidence(case)), settings, model=model, folder=tmp_path) == [kind]


def test_each_series_has_the_maps_of_its_own_findings(case, model, tmp_path):
    other = build_case(build_source_series(SeriesSpec(series="other")))
    cases = (case, replace(other, findings=case.findings[:1]))
    findings = [replace(case.findings[0], series_instance_uid=one.source.series_instance_uid) for one in cases]
    evidence = tuple(replace(evidence_of(one), finding=finding) for one, finding in zip(cases, findings, strict=True))
    writer = ResultWriter(tmp_path, NOW, Deployment.of(model, {}, results=MAPS_ONLY, version="0"), RunJournal())
    series = (replace(one, evidence=(shown,)) for one, shown in zip(reading_of(cases).current, evidence, strict=True))
    maps = writer.write_companions(StudyReading(tuple(series)), ())
    sources = [item.dataset.ReferencedSeriesSequence[0].SeriesInstanceUID for item in maps]
    assert sources == [one.source.series_instance_uid for one in cases]
    assert [item.dataset.InstanceNumber for item in maps] == [1, 1]


def test_a_failed_registration_writes_no_transform(case, model, tmp_path):
    reading = with_prior(case.reading, verdict="failed")
    assert written(reading, ResultSettings(), model=model, folder=tmp_path) == ["SR", "SEG"]


def test_a_negative_study_has_no_key_images(case, model, tmp_path):
    kinds = written(reading_with_evidence(negative(case)), EVERYTHING, model=model, folder=tmp_path)
    assert kinds == ["SR", "SEG", "PDF", "PM"]


def test_a_model_without_heads_writes_nothing(case, model, tmp_path):
    nothing = reading_of([replace(case, findings=(), segments=replace(case.segments, segments=()))])
    assert written(nothing, EVERYTHING, model=model, folder=tmp_path) == []
    assert list(tmp_path.iterdir()) == []
