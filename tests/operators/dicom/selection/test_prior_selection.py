from dataclasses import replace

import pytest
from pydicom import Dataset

from operators.dicom.selection.prior_selection import check_same_patient, counterpart, days_before
from operators.dicom.selection.series_selection import SeriesDecision
from operators.dicom.volumes.slices import VolumeCandidate
from operators.errors import InputError, PatientMismatchError
from phantoms import SeriesSpec
from series_cases import PLAIN, PLAIN_MR, indexed


def header(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in {"PatientID": "1", "StudyInstanceUID": "1.2.1", "StudyDate": "20240310", **values}.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("current", "prior"),
    [
        ({}, {"StudyDate": "20200101"}),
        ({"PatientSex": "F", "PatientBirthDate": "19500101"}, {"PatientSex": "F"}),
        ({"IssuerOfPatientID": "A"}, {"IssuerOfPatientID": "A", "PatientSex": "M"}),
    ],
)
def test_the_same_patient_may_be_told_with_more_or_less(current, prior):
    check_same_patient(header(**current), header(**prior))


@pytest.mark.parametrize(
    ("current", "prior", "keyword"),
    [
        ({}, {"PatientID": "2"}, "PatientID"),
        ({"IssuerOfPatientID": "A"}, {}, "IssuerOfPatientID"),
        ({"PatientSex": "F"}, {"PatientSex": "M"}, "PatientSex"),
        ({"PatientBirthDate": "19500101"}, {"PatientBirthDate": "19500110"}, "PatientBirthDate"),
    ],
)
def test_another_patient_is_refused_by_the_attribute_without_its_value(current, prior, keyword):
    with pytest.raises(PatientMismatchError, match=f"prior: {keyword} ") as refused:
        check_same_patient(header(**current), header(**prior))
    assert not set("23") & set(str(refused.value))


@pytest.mark.parametrize(
    ("prior", "days"),
    [("20240310", 0), ("20240229", 10), ("20230310", 366), ("", None), ("20240231", None)],
)
def test_days_are_counted_by_the_calendar(prior, days):
    assert days_before(header(), header(StudyInstanceUID="1.2.2", StudyDate=prior)) == days


def test_an_acquisition_tells_where_the_study_has_no_date():
    prior = header(StudyInstanceUID="1.2.2", StudyDate="", AcquisitionDate="20240309")
    assert days_before(header(), prior) == 1


def test_the_same_study_and_a_later_one_are_no_priors():
    with pytest.raises(InputError, match="the current study itself"):
        days_before(header(), header())
    with pytest.raises(InputError, match="later than the current study"):
        days_before(header(), header(StudyInstanceUID="1.2.2", StudyDate="20240311"))


def decision(spec: SeriesSpec, *roles: str) -> SeriesDecision:
    series = indexed(spec)
    volume = VolumeCandidate(series.series_instance_uid, series.modality, ())
    return SeriesDecision(series, roles, 1.0, (), volume)


def test_the_series_of_the_same_role_is_compared_and_else_one_of_the_same_modality():
    head, chest = decision(replace(PLAIN, series="head"), "head CT"), decision(PLAIN, "chest CT", "body CT")
    decisions = (decision(PLAIN_MR, "chest CT"), head, chest)
    assert counterpart("CT", "chest CT", decisions) is chest
    assert counterpart("CT", "thin CT, head CT", decisions) is head
    assert counterpart("CT", "abdomen CT", decisions) is head


def test_nothing_is_compared_with_what_was_not_selected_or_is_of_another_modality():
    assert counterpart("CT", "chest CT", (decision(PLAIN_MR, "chest CT"), decision(PLAIN))) is None


def test_ct_is_compared_with_mr_where_that_is_asked_for_and_nothing_of_its_own_is_there():
    ct, mr = decision(PLAIN, "chest CT"), decision(PLAIN_MR, "head MR")
    assert counterpart("CT", "abdomen CT", (mr, ct), across_modalities=True) is ct
    assert counterpart("CT", "chest CT", (mr,), across_modalities=True) is mr
    assert counterpart("MR", "head MR", (ct,), across_modalities=True) is ct
    assert counterpart("CT", "chest CT", (decision(PLAIN_MR),), across_modalities=True) is None
    assert counterpart("PT", "", (ct, mr), across_modalities=True) is None
