from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from operators.dicom.selection.rules import SelectionRules, default_rules
from operators.dicom.selection.series_selection import (
    EQUAL_SCORES,
    REGION_POINTS,
    SeriesDecision,
    check_selected,
    select_series,
    with_body_regions,
)
from operators.dicom.study.study_index import SeriesIndex, StudyIndex
from operators.errors import NoMatchingSeriesError
from phantoms import SAGITTAL, SeriesSpec
from series_cases import PLAIN, PLAIN_MR, Change, indexed, repeated, series_of, set_all


def decide(*series: SeriesIndex, rules: SelectionRules | None = None) -> tuple[SeriesDecision, ...]:
    return select_series(StudyIndex(series, 0), rules)


def rules_with(*roles: dict) -> SelectionRules:
    return SelectionRules.model_validate({"every": default_rules().every, "roles": roles})


def image_type(*values: str) -> Change:
    return set_all(ImageType=list(values))


REJECTED = {
    "localiser": (PLAIN, image_type("ORIGINAL", "PRIMARY", "LOCALIZER"), "a localiser"),
    "mosaic": (PLAIN_MR, image_type("ORIGINAL", "PRIMARY", "M", "MOSAIC"), "a mosaic of slices in one image"),
    "projection": (PLAIN, image_type("DERIVED", "SECONDARY", "MIP"), "a projection, not slices"),
    "projection of an enhanced object": (
        PLAIN_MR,
        set_all(VolumeBasedCalculationTechnique="MAX_IP"),
        "a projection, not slices",
    ),
    "screen": (PLAIN, image_type("DERIVED", "SECONDARY", "SCREEN SAVE"), "a screen capture"),
    "dose page": (PLAIN, image_type("DERIVED", "SECONDARY", "DOSE_INFO"), "a report or a dose page as an image"),
    "burned-in text": (PLAIN, set_all(BurnedInAnnotation="YES"), "text burned into its pixels"),
    "ADC": (PLAIN_MR, image_type("DERIVED", "PRIMARY", "DIFFUSION", "ADC"), "a derived diffusion map"),
    "FA": (PLAIN_MR, image_type("DERIVED", "PRIMARY", "DIFFUSION", "FA"), "a derived diffusion map"),
    "perfusion": (PLAIN, image_type("DERIVED", "SECONDARY", "CBF"), "a perfusion map"),
    "subtraction": (PLAIN_MR, image_type("DERIVED", "PRIMARY", "SUBTRACTION"), "a difference of two images"),
    "T2 map": (PLAIN_MR, image_type("DERIVED", "PRIMARY", "T2 MAP"), "a map of a physical quantity"),
    "phase": (PLAIN_MR, image_type("ORIGINAL", "PRIMARY", "P", "ND"), "a phase image"),
    "curved": (PLAIN, image_type("DERIVED", "SECONDARY", "CPR"), "a curved reformat"),
    "a capture that calls itself CT": (
        PLAIN,
        set_all(SOPClassUID=SecondaryCaptureImageStorage),
        "8 of 8 slices are no CT images by their SOPClassUID",
    ),
    "another modality": (replace(PLAIN, modality="US"), set_all(Modality="US"), "modality US is not CT or MR"),
    "two slices": (replace(PLAIN, shape=(2, 4, 4)), set_all(), "2 slices, at least 3 are needed"),
    "one slice many times": (PLAIN, set_all(ImagePositionPatient=[0, 0, 0]), "8 slices at 1 position, at least 3"),
    "no position": (PLAIN, set_all(ImagePositionPatient=None), "8 of 8 slices without a usable ImagePositionPatient"),
    "no SOP Instance UID": (PLAIN, set_all(SOPInstanceUID=""), "8 of 8 instances without a valid SOPInstanceUID"),
}


@pytest.mark.parametrize(("spec", "change", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_what_is_no_volume_is_rejected_with_its_reason(spec, change, reason):
    (decision,) = decide(indexed(spec, change))
    assert not decision.selected
    assert decision.score == 0
    assert any(reason in given for given in decision.reasons), decision.reasons
    with pytest.raises(NoMatchingSeriesError, match="among its 1 series"):
        check_selected([decision])


ACCEPTED = {
    "derived, but fine": image_type("DERIVED", "SECONDARY", "AXIAL"),
    "a reformat when there is nothing else": image_type("DERIVED", "SECONDARY", "MPR"),
    "no body part": lambda number, dataset: dataset.pop("BodyPartExamined"),
    "no image type": lambda number, dataset: dataset.pop("ImageType"),
    "no description": lambda number, dataset: dataset.pop("SeriesDescription"),
    "a foreign description": set_all(SeriesDescription="Schädel nativ, Übersicht", SpecificCharacterSet="ISO_IR 100"),
    "a description that lies": set_all(SeriesDescription="Dose Report MIP scout"),
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_header_words_alone_never_reject(change):
    (decision,) = decide(indexed(PLAIN, change))
    assert decision.selected


BETTER_AND_WORSE = {
    "original, not a reformat": (set_all(), image_type("DERIVED", "SECONDARY", "MPR")),
    "original, not derived": (set_all(), image_type("DERIVED", "SECONDARY", "AXIAL")),
    "soft, not sharp": (set_all(ConvolutionKernel="B30f"), set_all(ConvolutionKernel="B70f")),
    "STANDARD, not LUNG": (set_all(ConvolutionKernel="STANDARD"), set_all(ConvolutionKernel="LUNG")),
    "not named a scout": (set_all(SeriesDescription="Thorax"), set_all(SeriesDescription="Topogramm scout")),
    "water, not fat": (image_type("DERIVED", "PRIMARY", "W"), image_type("DERIVED", "PRIMARY", "F")),
    "the later of two equals": (set_all(AcquisitionTime="120000"), set_all(AcquisitionTime="110000")),
}


@pytest.mark.parametrize(("better", "worse"), BETTER_AND_WORSE.values(), ids=BETTER_AND_WORSE.keys())
@pytest.mark.parametrize("order", [1, -1])
def test_the_better_of_two_series_is_selected(better, worse, order):
    good, bad = indexed(replace(PLAIN, series="a"), better), indexed(replace(PLAIN, series="b"), worse)
    best, other = decide(*(good, bad)[::order])
    assert best.selected
    assert best.series is good
    assert f"series {good.series_instance_uid} " in other.reasons[0]
    assert f"for CT volume, score {best.score:g} against {other.score:g}" in other.reasons[0]


def test_thin_slices_are_better_than_thick_ones_of_the_same_extent():
    thin = replace(PLAIN, shape=(40, 4, 4), slice_spacing=1.0, series="thin")
    thick = replace(PLAIN, shape=(8, 4, 4), slice_spacing=5.0, series="thick")
    best, other = decide(indexed(thick), indexed(thin))
    assert best.series.series_instance_uid == thin.series_instance_uid
    assert other.score == best.score - 1


def test_a_repeat_that_was_broken_off_loses_though_it_is_later():
    whole, broken_off = replace(PLAIN, shape=(40, 4, 4)), replace(PLAIN, shape=(20, 4, 4), series="repeat")
    best, _ = decide(indexed(broken_off, set_all(AcquisitionTime="230000")), indexed(whole))
    assert best.series.series_instance_uid == whole.series_instance_uid


def test_a_repeat_with_hardly_fewer_slices_wins():
    whole, again = replace(PLAIN, shape=(40, 4, 4)), replace(PLAIN, shape=(38, 4, 4), series="repeat")
    best, other = decide(indexed(whole), indexed(again, set_all(AcquisitionTime="230000")))
    assert best.series.series_instance_uid == again.series_instance_uid
    assert 0 < other.score - best.score < EQUAL_SCORES
    assert other.reasons[0].startswith("as good as")
    assert other.reasons[0].endswith("and not the later one")


def test_the_reasons_are_points_and_words():
    (decision,) = decide(indexed(PLAIN))
    assert decision.reasons == (
        "8 slices over 24 mm (+1.1)",
        "original pixels, not derived (+2)",
        "a primary image of the examination (+1)",
        "axial (+2)",
        "thin slices, 0.4 to 3 mm apart (+2)",
        "a soft kernel (+1)",
    )
    assert decision.score == pytest.approx(9.14)


def test_axial_is_preferred():
    sagittal = replace(PLAIN, row_cosine=SAGITTAL[0], column_cosine=SAGITTAL[1], series="sagittal")
    best, other = decide(indexed(sagittal), indexed(PLAIN))
    assert best.series.series_instance_uid == PLAIN.series_instance_uid
    assert best.score - other.score == pytest.approx(2)


def test_each_modality_has_its_own_choice():
    decisions = decide(indexed(PLAIN), indexed(PLAIN_MR))
    assert {decision.role for decision in decisions if decision.selected} == {"CT volume", "MR volume"}


def test_a_series_with_a_hole_is_rejected_with_the_numbers_and_another_is_taken():
    datasets = repeated(PLAIN, [set_all()])
    del datasets[3]
    thick = replace(PLAIN, shape=(4, 4, 4), series="whole")
    best, holed = decide(series_of(datasets), indexed(thick))
    assert best.series.series_instance_uid == thick.series_instance_uid
    assert (
        "7 slices are 3.000 to 6.000 mm apart, expected 3.000 mm throughout; 1 missing between slices 3 and 4"
        in (holed.reasons[0])
    )


def test_of_a_diffusion_series_the_lowest_b_value_is_chosen_and_named():
    datasets = repeated(PLAIN_MR, [set_all(DiffusionBValue=b) for b in (1000.0, 0.0, 500.0)])
    (decision,) = decide(series_of(datasets))
    assert decision.volume.label == "b = 0 s/mm2"
    assert {plane.header.DiffusionBValue for plane in decision.volume.slices} == {0}
    assert decision.reasons[0] == "volume 1 of 3 in the series: b = 0 s/mm2"
    assert len(decision.verdicts) == 3


def test_of_a_dynamic_series_the_first_volume_is_chosen():
    datasets = repeated(PLAIN_MR, [set_all(TemporalPositionIdentifier=t) for t in (2, 1, 3)])
    (decision,) = decide(series_of(datasets))
    assert decision.volume.label == "time 1 of 3"


def test_the_phases_of_a_mixed_series_are_judged_one_by_one():
    datasets = repeated(PLAIN_MR, [image_type("ORIGINAL", "PRIMARY", kind) for kind in ("P", "M")])
    (decision,) = decide(series_of(datasets))
    assert {plane.header.ImageType[2] for plane in decision.volume.slices} == {"M"}


def test_a_series_of_stacks_that_do_not_fit_says_so_of_each():
    datasets = repeated(replace(PLAIN_MR, shape=(2, 4, 4)), [set_all(EchoTime=5), set_all(EchoTime=10)])
    (decision,) = decide(series_of(datasets))
    assert decision.reasons == (
        "2 volumes in the series: echo time 5 ms; echo time 10 ms",
        "2 slices, at least 3 are needed",
    )


BRAIN = (
    {"name": "T1 brain", "modality": "MR", "requires": [
        {"name": "T1-weighted", "when": {"all": [
            {"keyword": "RepetitionTime", "max": 1000}, {"keyword": "EchoTime", "max": 30}]}}]},
    {"name": "FLAIR brain", "modality": "MR", "requires": [
        {"name": "FLAIR", "when": {"all": [
            {"keyword": "InversionTime", "min": 1500, "max": 3000}, {"keyword": "EchoTime", "min": 60}]}}]},
)  # fmt: skip
PROSTATE = {"name": "T2 prostate", "modality": "MR", "min_slices": 5, "requires": [
    {"name": "T2-weighted", "when": {"all": [
        {"keyword": "EchoTime", "min": 60}, {"keyword": "RepetitionTime", "min": 2000},
        {"not": {"keyword": "InversionTime", "present": True}}]}}]}  # fmt: skip
T1, T2 = {"RepetitionTime": 500, "EchoTime": 10}, {"RepetitionTime": 4000, "EchoTime": 100}
FLAIR = T2 | {"InversionTime": 2500}


def weighted(**timing: object) -> SeriesIndex:
    return indexed(replace(PLAIN_MR, series=str(sorted(timing.items()))), set_all(**timing))


def test_a_brain_study_gives_t1_and_flair():
    t1, t2, flair = weighted(**T1), weighted(**T2), weighted(**FLAIR)
    decisions = {
        decision.series.series_instance_uid: decision for decision in decide(t1, t2, flair, rules=rules_with(*BRAIN))
    }
    assert decisions[t1.series_instance_uid].role == "T1 brain"
    assert decisions[flair.series_instance_uid].role == "FLAIR brain"
    assert decisions[t2.series_instance_uid].reasons == ("lacks: T1-weighted", "lacks: FLAIR")


def test_a_prostate_head_asks_for_t2():
    best, *others = decide(weighted(**T1), weighted(**T2), weighted(**FLAIR), rules=rules_with(PROSTATE))
    assert (best.role, best.series.headers[0].EchoTime) == ("T2 prostate", 100)
    assert all("lacks: T2-weighted" in decision.reasons for decision in others)


def test_one_volume_may_serve_two_roles():
    (decision,) = decide(weighted(**T1), rules=rules_with({"name": "any MR", "modality": "MR"}, BRAIN[0]))
    assert decision.role == "any MR, T1 brain"


def test_two_volumes_of_one_series_may_serve_two_roles():
    high = {"name": "high b", "modality": "MR", "requires": [
        {"name": "b of 800 or more", "when": {"property": "b_value", "min": 800}}]}  # fmt: skip
    datasets = repeated(PLAIN_MR, [set_all(DiffusionBValue=b) for b in (0.0, 1000.0)])
    chosen = decide(series_of(datasets), rules=rules_with({"name": "any MR", "modality": "MR"}, high))
    assert {decision.role: decision.volume.label for decision in chosen} == {
        "any MR": "b = 0 s/mm2",
        "high b": "b = 1000 s/mm2",
    }


@pytest.mark.parametrize(("min_slices", "selected"), [(1, True), (8, True), (9, False)])
def test_any_ct_with_at_least_so_many_slices(min_slices, selected):
    rules = rules_with({"name": "any CT", "modality": "CT", "min_slices": min_slices})
    (decision,) = decide(indexed(PLAIN), rules=rules)
    assert decision.selected is selected


@pytest.mark.parametrize(
    ("kind", "points", "by_one_slice", "by_all_slices"),
    [
        ("requires", None, None, 0.0),
        ("excludes", None, None, None),
        ("prefers", 5, 0.0, 5.0),
        ("prefers", -5, -5.0, -5.0),
    ],
)
def test_what_speaks_for_a_volume_holds_in_all_its_slices_and_what_speaks_against_it_in_any(
    kind, points, by_one_slice, by_all_slices
):
    """Points that the rule adds to the score; None where it rules the volume out."""
    rule = {"name": "the old scanner", "when": {"keyword": "StationName", "is": "old"}}
    rule |= {} if points is None else {"points": points}
    rules = rules_with({"name": "any CT", "modality": "CT", kind: [rule]})
    (plain,) = decide(indexed(PLAIN), rules=rules_with({"name": "any CT", "modality": "CT"}))
    for scanners, expected in ((["old"] + 7 * ["new"], by_one_slice), (8 * ["old"], by_all_slices)):
        series = indexed(PLAIN, lambda k, dataset, scanners=scanners: setattr(dataset, "StationName", scanners[k]))
        (decision,) = decide(series, rules=rules)
        found = pytest.approx(decision.score - plain.score) if decision.selected else None
        assert found == expected


CHEST = {"name": "axial CT chest", "modality": "CT", "body_region": "chest", "requires": [
    {"name": "axial", "when": {"property": "plane", "is": "axial"}}], "prefers": [
    {"name": "headers say chest", "points": 2, "about": "body-region",
     "when": {"any": [{"keyword": "BodyPartExamined", "is": "CHEST"},
                      {"keyword": "SeriesDescription", "matches": "thorax|chest|lung"}]}}]}  # fmt: skip


def two_regions() -> Sequence[SeriesIndex]:
    says_chest = indexed(replace(PLAIN, series="says chest"), set_all(BodyPartExamined="CHEST"))
    says_nothing = indexed(replace(PLAIN, series="says nothing"), set_all(BodyPartExamined=""))
    return says_chest, says_nothing


def test_header_words_decide_while_the_encoder_has_seen_nothing():
    rules, (says_chest, says_nothing) = rules_with(CHEST), two_regions()
    best, _ = decide(says_nothing, says_chest, rules=rules)
    assert best.series is says_chest
    assert with_body_regions([best], {}, rules)[0].score == best.score


def test_the_encoder_overrules_header_words():
    rules, (says_chest, says_nothing) = rules_with(CHEST), two_regions()
    seen = {
        says_chest.series_instance_uid: {"abdomen": 0.9, "chest": 0.1},
        says_nothing.series_instance_uid: {"abdomen": 0.2, "chest": 0.8},
    }
    best, other = with_body_regions(decide(says_nothing, says_chest, rules=rules), seen, rules)
    assert best.series is says_nothing
    assert best.reasons[0] == "the encoder sees chest, 0.80 (+2.4)"
    assert other.reasons == ("the encoder sees abdomen (0.90), chest 0.10",)
    assert not other.selected


def test_once_the_encoder_has_seen_a_series_its_header_hints_count_for_nothing():
    rules, (says_chest, says_nothing) = rules_with(CHEST), two_regions()
    before = decide(says_nothing, says_chest, rules=rules)
    seen = {series.series_instance_uid: {"chest": 1.0} for series in (says_chest, says_nothing)}
    one, other = with_body_regions(before, seen, rules)
    assert one.score == other.score == min(decision.score for decision in before) + REGION_POINTS


def test_roles_without_a_region_do_not_ask_the_encoder():
    (decision,) = decide(indexed(PLAIN))
    (again,) = with_body_regions([decision], {PLAIN.series_instance_uid: {"head": 1.0}})
    assert (again.selected, again.score) == (True, decision.score)


def test_no_reason_quotes_header_text():
    canary = "CANARY^PATIENT"
    words = dict.fromkeys(
        ("SeriesDescription", "ProtocolName", "PatientName", "PatientID", "ConvolutionKernel"), canary
    )

    def change(number: int, dataset: Dataset) -> None:
        set_all(**words)(number, dataset)
        dataset.ImageType = ["ORIGINAL", "CANARY", f"CANARY {number % 2}"]

    for spec in (PLAIN, SeriesSpec(shape=(1, 4, 4))):
        for decision in decide(indexed(spec, change)):
            assert "CANARY" not in " ".join(decision.reasons)
