"""A later version of a report says what people said, names the version before it, and changes nothing else."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom as hd
import pytest
from highdicom.sr.utils import find_content_items
from pydicom import Dataset, dcmread

from operators.dicom.results.report.judged_report import judged_report
from operators.domain.concepts import MASS
from operators.domain.judgement import Judgement
from operators.errors import InputError
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case, dciodvfy, save

NOW = datetime(2026, 11, 28, 12, 30, 15)
ACCEPTED = Judgement("soft-tissue mass", MASS, "2.25.7", "accepted", "", "CIRRUS^ANNA", datetime(2026, 11, 28, 12, 1))
REJECTED = replace(ACCEPTED, verdict="rejected", comment="a vessel", person="", tracking_uid=None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dcmread(save(build_case(build_source_series(SeriesSpec())).report(), tmp_path_factory.mktemp("report")))


def judgements_in(report: Dataset) -> list[Dataset]:
    """Found by highdicom, below the evaluations."""
    name = hd.sr.CodedConcept("judgement", "99CURIA", "Judgement of a finding by a reader")
    evaluations = hd.sr.CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
    (below,) = find_content_items(hd.sr.Comprehensive3DSR.from_dataset(report), name=evaluations)
    return find_content_items(below, name=name)


def verdicts_in(report: Dataset) -> list[str]:
    return [item.ConceptCodeSequence[0].CodeValue for item in judgements_in(report)]


def test_each_judgement_is_read_back_with_finding_person_time_and_words(report: Dataset, tmp_path: Path) -> None:
    path = save(judged_report(report, [ACCEPTED, REJECTED], now=NOW), tmp_path)
    accepted, rejected = judgements_in(dcmread(path))
    assert verdicts_in(dcmread(path)) == ["accepted", "rejected"]
    assert accepted.ObservationDateTime == "20261128120100"
    details, without = (
        {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in one.ContentSequence}
        for one in (accepted, rejected)
    )
    assert details["Person Observer Name"].PersonName == "CIRRUS^ANNA"
    assert details["Finding"].ConceptCodeSequence[0].CodeValue == MASS.value
    assert details["Tracking Unique Identifier"].UID == "2.25.7"
    assert details["Comment"].TextValue == "soft-tissue mass"
    assert set(without) == {"Finding", "Comment"}
    assert without["Comment"].TextValue == "soft-tissue mass: a vessel"
    assert dciodvfy(path)[0] == []


def test_it_names_its_predecessor_stays_unverified_and_keeps_all_else(report: Dataset, tmp_path: Path) -> None:
    later = dcmread(save(judged_report(report, [ACCEPTED], now=NOW), tmp_path))
    (study,) = later.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (reference,) = series.ReferencedSOPSequence
    assert (reference.ReferencedSOPInstanceUID, series.SeriesInstanceUID, study.StudyInstanceUID) == (
        report.SOPInstanceUID, report.SeriesInstanceUID, report.StudyInstanceUID,
    )  # fmt: skip
    assert (later.VerificationFlag, later.SeriesInstanceUID, later.InstanceNumber) == (
        "UNVERIFIED", report.SeriesInstanceUID, report.InstanceNumber + 1,
    )  # fmt: skip
    assert (later.ContentDate, later.ContentTime) == ("20261128", "123015")
    own = {
        "SOPInstanceUID", "InstanceNumber", "PredecessorDocumentsSequence", "ContentSequence", "ContentDate",
        "ContentTime", "InstanceCreationDate", "InstanceCreationTime",
    }  # fmt: skip
    keywords = {element.keyword for element in (*report, *later)} - own
    assert [keyword for keyword in keywords if report.get(keyword) != later.get(keyword)] == []
    assert len(later.ContentSequence) == len(report.ContentSequence)


def test_the_same_judgements_are_the_same_document_and_the_next_version_holds_only_its_own(report: Dataset) -> None:
    first = judged_report(report, [ACCEPTED], now=NOW)
    assert judged_report(report, [ACCEPTED], now=datetime(2027, 1, 1)).SOPInstanceUID == first.SOPInstanceUID
    second = judged_report(first, [REJECTED], now=NOW)
    assert len({report.SOPInstanceUID, first.SOPInstanceUID, second.SOPInstanceUID}) == 3
    assert verdicts_in(second) == ["rejected"]
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_what_is_no_report_and_what_it_cannot_hold_is_refused(report: Dataset) -> None:
    with pytest.raises(InputError, match="expected a Comprehensive 3D SR"):
        judged_report(build_case(build_source_series(SeriesSpec())).segmentation(), [ACCEPTED], now=NOW)
    latin = Dataset()
    latin.update(report)
    latin.SpecificCharacterSet = "ISO_IR 100"
    with pytest.raises(InputError, match="comment: it has letters"):
        judged_report(latin, [replace(ACCEPTED, comment="\u5fc3")], now=NOW)
