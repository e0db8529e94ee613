from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from operators.dicom.results.report.findings_report import build_report
from operators.domain.concepts import ABSENT, NO_UNITS, PRESENT, PROBABILITY, THRESHOLD
from phantoms import BODIES, SeriesSpec, build_source_series, phantom_mask
from result_cases import (
    GEOMETRIES,
    JAPANESE_NAME,
    PROVENANCE,
    RUN,
    build_case,
    classes_and_values,
    dsrdump,
    negative,
    reading_of,
    save,
)


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(GEOMETRIES["oblique descending"]))


@pytest.fixture(scope="module")
def segmentation(case):
    return case.segmentation()


@pytest.fixture(scope="module")
def path(case, segmentation, tmp_path_factory):
    return save(case.report([segmentation]), tmp_path_factory.mktemp("sr"))


@pytest.fixture(scope="module")
def report(path):
    return hd.sr.srread(path)


def _concept(item):
    sequence = item.ConceptNameCodeSequence[0]
    return sequence.CodeValue, sequence.CodingSchemeDesignator


def _find(item, code):
    return [child for child in item.get("ContentSequence", []) if _concept(child)[0] == code]


def _presence(group):
    (evaluation,) = _find(group[0], "121052")
    return evaluation.value.value


def test_document_flags_and_identity(case, report):
    assert isinstance(report, hd.sr.Comprehensive3DSR)
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.SeriesDescription == "AI findings (research use only, demonstration model)"
    assert report.PatientID == case.source.headers[0].PatientID
    assert case.report(is_complete=False).CompletionFlag == "PARTIAL"


def test_each_judged_finding_has_its_group(case, report):
    groups = report.content.get_image_measurement_groups()
    judged = [finding for finding in case.findings if finding.present is not None]
    assert [group.tracking_identifier for group in groups] == [finding.name for finding in judged]
    for finding, group in zip(judged, groups, strict=True):
        assert group.finding_type.value == finding.code.value
        assert [site.value.value for site in group.finding_sites] == ([finding.site.value] if finding.site else [])
        assert _presence(group) == (PRESENT if finding.present else ABSENT).value
        numbers = {item.name.value: (item.value, item.unit.value) for item in group.get_measurements()}
        expected = {PROBABILITY.value: (finding.probability, NO_UNITS.value)}
        if finding.threshold is not None:
            expected[THRESHOLD.value] = (finding.threshold, NO_UNITS.value)
        assert numbers == expected


def test_what_nobody_judged_is_said_with_the_reason(report):
    (container,) = _find(report, "C0034375")
    not_judged, statement, reason = container.ContentSequence
    assert statement.TextValue == PROVENANCE.use_statement
    assert _concept(not_judged) == ("4147007", "SCT")
    assert not_judged.ConceptCodeSequence[0].CodeMeaning == "Not Evaluated"
    assert reason.TextValue == "liver mass: not evaluated, the liver is not in the images"


def test_a_probability_without_an_operating_point_and_numbers_for_the_series_are_reported(case, tmp_path):
    shown = classes_and_values(case)
    report = hd.sr.srread(save(shown.report([shown.segmentation()]), tmp_path))
    groups = {group.tracking_identifier: group for group in report.content.get_planar_roi_measurement_groups()} | {
        group.tracking_identifier: group for group in report.content.get_image_measurement_groups()
    }
    numbers = {name: [item.value for item in group.get_measurements()] for name, group in groups.items()}
    assert numbers == {
        "grade: mild": [0.5],
        "grade: moderate": [0.375],
        "grade: severe": [0.125],
        "chest: effusion": [0.75, 0.5],
        "chest: nodule": [0.25, 0.5],
        "age": [61.5],
        "hazard ratio": [1.25],
        "no death until day 365": [0.875],
    }
    assert groups["age"].get_measurements()[0].unit.value == "a"
    assert _find(groups["grade: mild"][0], "121052") == []
    comments = [item.TextValue for item in _find(report, "C0034375")[0].ContentSequence if item.ValueType == "TEXT"]
    assert "grade: mild: probability 0.500, no operating point" in comments
    assert "chest: fracture: not evaluated, needs a region" in comments
    segments = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_uid for group in segments] == [item.tracking_uid for item in shown.segments.segments]


def test_each_segment_has_its_volume_and_the_tracking_uid_of_the_seg(case, segmentation, report):
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_uid for group in groups] == [item.TrackingUID for item in segmentation.SegmentSequence]
    for segment, group in zip(case.segments.segments, groups, strict=True):
        volume, *diameters = group.get_measurements()
        assert (volume.name.meaning, volume.unit.value) == ("Volume", "mL")
        expected = segment.mask.sum() * np.prod(case.segments.geometry.spacing) / 1000.0
        assert volume.value == pytest.approx(expected)
        assert [(item.name.meaning, item.unit.value) for item in diameters] == (
            [("Long axis", "mm"), ("Short axis", "mm"), ("Maximum 3D Diameter of a Mesh", "mm")]
            if segment.finding
            else []
        )
        assert group.finding_type.value == segment.type.value
        assert group.finding_category.value == segment.category.value


def test_site_and_side_stand_with_the_finding_and_with_its_segment(case, report):
    groups = report.content.get_image_measurement_groups()[:1]
    groups += report.content.get_volumetric_roi_measurement_groups()[2:]
    for group in groups:
        (site,) = group.finding_sites
        assert (site.value.meaning, site.laterality.meaning) == ("Soft tissue", "Left")


def test_a_located_finding_shares_the_tracking_uid_of_its_segment(case, report):
    finding = report.content.get_image_measurement_groups()[0]
    assert finding.tracking_uid == case.segments.segments[2].tracking_uid


def test_the_outline_encloses_the_segment_on_its_largest_slice(case, report):
    for segment, group in zip(
        case.segments.segments, report.content.get_volumetric_roi_measurement_groups(), strict=True
    ):
        (region,) = group.roi
        image = region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        index = case.source.sop_instance_uids.index(image)
        assert segment.mask[index].sum() == segment.mask.sum(axis=(1, 2)).max()
        x, y = region.value[:, 0], region.value[:, 1]
        # an ellipsoid's section is one convex part: the polygon's area is the number of its pixels
        assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2 == segment.mask[index].sum()
        centre = np.array([index, y[:-1].mean() - 0.5, x[:-1].mean() - 0.5])
        body = {"lung": "lung", "bone": "bone", "soft-tissue mass": "mass"}[segment.label]
        assert phantom_mask(case.segments.geometry.positions(centre), body)


def test_a_located_finding_points_at_its_place_and_others_at_the_frame(case, report):
    points = [_find(group[0], "122157")[0] for group in report.content.get_image_measurement_groups()]
    located, *others = [item.ContentSequence[0] for item in points]
    assert located.GraphicType == "POINT"
    image = located.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    header = next(item for item in case.source.headers if image == item.SOPInstanceUID)
    column, row = np.array(located.GraphicData) - 0.5
    orientation = np.array(header.ImageOrientationPatient, float)
    position = (
        np.array(header.ImagePositionPatient, float)
        + column * float(header.PixelSpacing[1]) * orientation[:3]
        + row * float(header.PixelSpacing[0]) * orientation[3:]
    )
    # within half a slice: the point is laid on the nearest image
    assert np.linalg.norm(position - BODIES["mass"][0]) <= case.segments.geometry.spacing[0] / 2 + 1e-3
    for other in others:
        assert other.GraphicType == "POLYLINE"
        assert list(other.GraphicData) == [0, 0, 80, 0, 80, 48, 0, 48, 0, 0]
        image = other.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert case.source.sop_instance_uids.index(image) == len(case.source.headers) // 2


def test_every_group_has_a_region_where_viewers_look_for_it(report):
    """OHIF takes a group's own SCOORD, else the only child of each NUM, and fails on a group with neither."""
    (container,) = _find(report, "126010")
    assert len(container.ContentSequence) == 6
    for group in container.ContentSequence:
        own = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        below = [[child.ValueType for child in item.get("ContentSequence", [])] for item in numbers]
        assert numbers
        assert len(own) == 1 or below == [["SCOORD"]] * len(numbers)


def test_evidence_lists_every_source_image_and_the_segmentation(case, segmentation, report):
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == case.source.headers[0].StudyInstanceUID
    listed = {
        series.SeriesInstanceUID: {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
        for series in study.ReferencedSeriesSequence
    }
    assert listed == {
        case.source.series_instance_uid: set(case.source.sop_instance_uids),
        segmentation.SeriesInstanceUID: {segmentation.SOPInstanceUID},
    }


def test_the_image_library_describes_the_series_once_and_lists_its_images(case, report):
    (library,) = _find(report, "111028")
    (group,) = library.ContentSequence
    images = [item for item in group.ContentSequence if item.ValueType == "IMAGE"]
    assert [image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for image in images] == list(
        case.source.sop_instance_uids
    )
    meanings = [item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence]
    assert {"Modality", "Frame of Reference UID", "Slice Thickness"} <= set(meanings)
    assert not any("Position" in meaning for meaning in meanings)


@pytest.mark.parametrize(
    ("modality", "code"),
    [("CT", "25045-6"), ("MR", "25056-3"), ("PT", "363679005"), (["CT", "MR"], "363679005")],
    ids=str,
)
def test_the_procedure_reported_is_the_imaging_procedure(modality, code, case):
    for header in (source := build_source_series(SeriesSpec())).headers:
        header.Modality = modality
    (item,) = _find(replace(case, source=source, findings=build_case(source).findings).report(), "121058")
    assert item.ConceptCodeSequence[0].CodeValue == code


def test_the_source_names_its_own_procedure():
    case = build_case(build_source_series(SeriesSpec()))
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator = "24627-2", "LN"
    procedure.CodeMeaning = "Chest CT"
    for header in case.source.headers:
        header.ProcedureCodeSequence = [procedure]
    (item,) = _find(case.report(), "121058")
    assert item.ConceptCodeSequence[0].CodeValue == "24627-2"


def test_a_wholly_negative_study_is_a_report(case, tmp_path):
    path = save(negative(case).report(), tmp_path)
    groups = hd.sr.srread(path).content.get_image_measurement_groups()
    assert len(groups) == 4
    assert {_presence(group) for group in groups} == {ABSENT.value}


def test_two_series_go_into_one_report():
    cases = [build_case(build_source_series(SeriesSpec(series=name, modality=name))) for name in ("CT", "MR")]
    report = build_report(
        reading_of(cases),
        segmentations=[case.segmentation() for case in cases],
        run=RUN,
        is_complete=True,
    )
    (procedure,) = _find(report, "121058")
    assert procedure.ConceptCodeSequence[0].CodeMeaning == "Imaging procedure"
    (library,) = _find(report, "111028")
    assert len(library.ContentSequence) == 2
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert len(study.ReferencedSeriesSequence) == 4
    (container,) = _find(report, "126010")
    assert len({_find(group, "112040")[0].UID for group in container.ContentSequence}) == 10


def test_what_nobody_could_judge_is_still_a_report(case, tmp_path):
    report = hd.sr.srread(save(replace(case, findings=case.findings[3:]).report(), tmp_path))
    assert _find(report, "126010") == []
    (container,) = _find(report, "C0034375")
    assert [item.ValueType for item in container.ContentSequence] == ["CODE", "TEXT", "TEXT"]


def test_nothing_looked_for_is_no_report(case):
    with pytest.raises(ValueError, match="at least one finding, segment, measurement or registration"):
        replace(case, findings=()).report()


def test_dcmtk_reads_it_to_the_end(path, case):
    text = dsrdump(path)
    assert text.count('"Measurement Group")') == 6
    assert '(272519000,SCT,"Absent")' in text
    assert PROVENANCE.use_statement in text


def test_names_in_japanese_survive(tmp_path):
    spec = SeriesSpec(patient_name=JAPANESE_NAME, character_set=["", "ISO 2022 IR 87"])
    case = build_case(build_source_series(spec))
    segmentation = case.segmentation()
    for dataset in (segmentation, case.report([segmentation])):
        written = pydicom.dcmread(save(dataset, tmp_path))
        assert written.PatientName == JAPANESE_NAME
        assert written.PatientName.ideographic == "山田^太郎"


def test_it_tells_why_a_series_was_read(tmp_path):
    case = build_case(build_source_series(SeriesSpec()))
    chosen = replace(case, source=replace(case.source, reasons=("20 slices over 57 mm (+1.9)", "axial (+2)")))
    text = dsrdump(save(chosen.report([case.segmentation()]), tmp_path))
    expected = f"Series {case.source.series_instance_uid} was read as phantom: 20 slices over 57 mm (+1.9); axial (+2)"
    assert expected in " ".join(text.split())


def test_a_number_of_the_prior_is_told_in_words_and_not_as_a_second_number(case):
    report = classes_and_values(case).report([classes_and_values(case).segmentation()])
    (evaluations,) = _find(report, "C0034375")
    assert any(
        comment.TextValue == "hazard ratio: 1.25, 1 90 days before, a change of +25.0 %"
        for comment in _find(evaluations, "121106")
    )
    numbers = [
        item.MeasuredValueSequence[0].NumericValue
        for group in _find(_find(report, "126010")[0], "125007")
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "hazard ratio"
    ]
    assert numbers == [1.25]
