"""The objects that go with SR and SEG, made from a case of `result_cases`."""

from dataclasses import replace
from functools import cache

import numpy as np
from pydicom import Dataset

from operators.dicom.results.for_people.encapsulated_pdf import build_encapsulated_pdf
from operators.dicom.results.for_people.key_images import KeyImage, key_images
from operators.dicom.results.for_people.key_objects import build_key_objects
from operators.dicom.results.for_people.page import ReportPage, build_report_page
from operators.dicom.results.for_people.pdf import render_pdf
from operators.dicom.results.for_people.secondary_capture import build_secondary_captures
from operators.dicom.results.maps.parametric_map import build_parametric_map
from operators.dicom.volumes.source_series import SourceSeries
from operators.domain.finding import Evidence
from operators.domain.reading import StudyReading
from operators.domain.volume import Volume
from result_cases import Case


def evidence_of(case: Case) -> Evidence:
    """Log odds on a coarse token grid in the source's frame: minus the index sum, so that every voxel is told apart."""
    geometry = case.source.volume.geometry
    shape = (geometry.shape[0], 4, 5)
    tokens = geometry.rescaled(shape)
    volume = Volume((4.0 - np.indices(shape).sum(axis=0)).astype(np.float32), tokens)
    return Evidence(case.findings[0], volume)


def reading_with_evidence(case: Case) -> StudyReading[SourceSeries]:
    return case.reading.with_each(lambda series: replace(series, evidence=(evidence_of(case),)))


def case_key_images(case: Case) -> tuple[KeyImage, ...]:
    return key_images(case.reading)


def report_page(case: Case) -> ReportPage:
    return build_report_page(reading_with_evidence(case), case_key_images(case), case.run.provenance)


@cache
def results_of(case: Case) -> tuple[Dataset, Dataset]:
    """The SR and the SEG that the companions refer to."""
    segmentation = case.segmentation()
    return case.report([segmentation]), segmentation


def key_objects(case: Case) -> Dataset:
    return build_key_objects(case_key_images(case), results_of(case), run=case.run)


def secondary_capture(case: Case) -> Dataset:
    (capture,) = build_secondary_captures(case_key_images(case), run=case.run)
    return capture


def encapsulated_pdf(case: Case) -> Dataset:
    pdf = render_pdf(report_page(case))
    return build_encapsulated_pdf(pdf, case.source.headers, results_of(case), run=case.run)


def parametric_map(case: Case) -> Dataset:
    return build_parametric_map(case.source, evidence_of(case), 1, run=case.run)
