from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from operators.dicom.series_selection import SeriesDecision, select_series, selected_series
from operators.dicom.study_index import Instance, SeriesIndex, StudyIndex
from operators.errors import NoMatchingSeriesError
from phantoms import SAGITTAL, SeriesSpec, build_datasets


def indexed(spec: SeriesSpec, change: Callable[[int, Dataset], None] = lambda k, d: None) -> SeriesIndex:
    datasets = build_datasets(spec)
    for number, dataset in enumerate(datasets):
        change(number, dataset)
    instances = tuple(Instance(Path(f"{k}.dcm"), dataset, True) for k, dataset in enumerate(datasets))
    return SeriesIndex(spec.series_instance_uid, spec.modality, instances)


def decide(*series: SeriesIndex) -> tuple[SeriesDecision, ...]:
    return select_series(StudyIndex(series, 0))


def set_all(**values: object) -> Callable[[int, Dataset], None]:
    def change(_: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


PLAIN = SeriesSpec(shape=(8, 4, 4))

REJECTED = {
    "localiser": (PLAIN, set_all(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "LOCALIZER: a localiser"),
    "mosaic": (
        SeriesSpec(shape=(8, 4, 4), modality="MR"),
        set_all(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]),
        "a mosaic of slices in one image",
    ),
    "a capture that calls itself CT": (
        PLAIN,
        set_all(SOPClassUID=SecondaryCaptureImageStorage),
        "other objects than single-frame CT images",
    ),
    "another modality": (SeriesSpec(shape=(8, 4, 4), modality="US"), set_all(Modality="US"), "US is not CT or MR"),
    "two slices": (SeriesSpec(shape=(2, 4, 4)), set_all(), "2 slices, at least 3 are needed"),
    "no position": (PLAIN, set_all(ImagePositionPatient=None), "slices without ImagePositionPatient"),
    "no SOP Instance UID": (PLAIN, set_all(SOPInstanceUID=""), "instances without their UIDs"),
}


@pytest.mark.parametrize(("spec", "change", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_what_is_no_volume_is_rejected_with_its_reason(spec, change, reason):
    (decision,) = decide(indexed(spec, change))
    assert not decision.selected
    assert decision.score == 0
    assert any(reason in given for given in decision.reasons), decision.reasons
    with pytest.raises(NoMatchingSeriesError, match="among its 1 series"):
        selected_series([decision])


def test_several_orientations_are_rejected():
    def turn_one(number: int, dataset: Dataset) -> None:
        if number == 3:
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    (decision,) = decide(indexed(PLAIN, turn_one))
    assert decision.reasons == ("slices of several orientations, as in a localiser",)


def test_the_better_series_of_a_modality_wins_and_the_other_says_why():
    thin, thick = SeriesSpec(shape=(16, 4, 4), series="thin"), SeriesSpec(shape=(4, 4, 4), series="thick")
    best, other = decide(indexed(thick), indexed(thin))
    assert (best.series.series_instance_uid, best.selected, best.role) == (thin.series_instance_uid, True, "CT volume")
    assert best.reasons == ("16 slices", "original pixels, not derived", "a primary image of the examination", "axial")
    assert not other.selected
    assert other.reasons[0] == f"score 6 for CT volume, series {thin.series_instance_uid} has 8"


def test_axial_is_preferred():
    sagittal = SeriesSpec(shape=(8, 4, 4), row_cosine=SAGITTAL[0], column_cosine=SAGITTAL[1], series="sagittal")
    best, other = decide(indexed(sagittal), indexed(PLAIN))
    assert best.series.series_instance_uid == PLAIN.series_instance_uid
    assert best.score - other.score == 2


def test_each_modality_has_its_own_choice():
    decisions = decide(indexed(PLAIN), indexed(SeriesSpec(shape=(8, 4, 4), modality="MR", series="mr")))
    assert {decision.role for decision in selected_series(decisions)} == {"CT volume", "MR volume"}
