"""What lies in one series is told apart by headers alone, and no slice is lost on the way."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from operators.dicom.selection.series_splitting import plane_of, split_series
from phantoms import AXIAL, CORONAL, OBLIQUE, SAGITTAL, SeriesSpec, build_datasets, build_enhanced
from series_cases import PLAIN, PLAIN_MR, indexed, repeated, series_of, set_all

FOUR = replace(PLAIN_MR, shape=(4, 4, 4))


def labels_and_sizes(datasets: list[Dataset]) -> list[tuple[str, int]]:
    return [(volume.label, len(volume.slices)) for volume in split_series(series_of(datasets))]


def test_a_plain_series_is_one_volume_without_a_label():
    (volume,) = split_series(indexed(PLAIN))
    assert (volume.label, volume.modality, len(volume.slices)) == ("", "CT", 8)
    assert volume.series_instance_uid == PLAIN.series_instance_uid


SEPARATED = {
    "b-value": ([set_all(DiffusionBValue=b) for b in (800.0, 0.0)], ["b = 0 s/mm2", "b = 800 s/mm2"]),
    "echo time": ([set_all(EchoTime=te) for te in (90, 4.6)], ["echo time 4.6 ms", "echo time 90 ms"]),
    "time": ([set_all(TemporalPositionIdentifier=t) for t in (2, 1, 3)], [f"time {k} of 3" for k in (1, 2, 3)]),
    "phase of the heart": (
        [set_all(TriggerTime=t) for t in (0, 40)],
        ["cardiac phase 1 of 2", "cardiac phase 2 of 2"],
    ),
    "acquisition": (
        [set_all(AcquisitionNumber=n) for n in (1, 2)],
        ["acquisition 1 of 2", "acquisition 2 of 2"],
    ),
    "image type": (
        [set_all(ImageType=["ORIGINAL", "PRIMARY", kind]) for kind in ("M", "P")],
        ["image type 1 of 2", "image type 2 of 2"],
    ),
    "kernel": ([set_all(ConvolutionKernel=k) for k in ("B30f", "B70f")], ["kernel 1 of 2", "kernel 2 of 2"]),
    "thickness": (
        [set_all(SliceThickness=mm) for mm in (1, 5)],
        ["slice thickness 1 mm", "slice thickness 5 mm"],
    ),
    "content time, the last resort": (
        [set_all(ContentTime=t) for t in ("101112", "101140")],
        ["time 1 of 2", "time 2 of 2"],
    ),
}


@pytest.mark.parametrize(("changes", "labels"), SEPARATED.values(), ids=SEPARATED.keys())
def test_slices_at_equal_positions_are_told_apart(changes, labels):
    assert labels_and_sizes(repeated(FOUR, changes)) == [(label, 4) for label in labels]


def test_two_values_together():
    changes = [set_all(EchoTime=te, TemporalPositionIdentifier=t) for te in (5, 10) for t in (1, 2)]
    assert labels_and_sizes(repeated(FOUR, changes)) == [
        (f"echo time {te} ms, time {t} of 2", 4) for te in (5, 10) for t in (1, 2)
    ]


def test_directions_of_one_b_value():
    directions = [set_all(DiffusionBValue=0.0)] + [
        set_all(DiffusionBValue=800.0, DiffusionGradientOrientation=vector) for vector in ([1, 0, 0], [0, 1, 0])
    ]
    assert [label for label, _ in labels_and_sizes(repeated(FOUR, directions))] == [
        "b = 0 s/mm2",
        "b = 800 s/mm2, direction 1 of 2",
        "b = 800 s/mm2, direction 2 of 2",
    ]


def test_clocks_that_also_run_along_the_stack_are_taken_in_their_order():
    def clock(start: int):
        return lambda number, dataset: setattr(dataset, "ContentTime", f"1011{start + 2 * number:02d}")

    volumes = split_series(series_of(repeated(FOUR, [clock(1), clock(30), clock(16)])))
    assert [(volume.label, len(volume.slices)) for volume in volumes] == [(f"time {k} of 3", 4) for k in (1, 2, 3)]
    for volume, start in zip(volumes, (1, 16, 30), strict=True):
        times = [plane.header.ContentTime for plane in volume.slices]
        assert times == [f"1011{start + 2 * number:02d}" for number in range(4)]


def test_a_clock_with_a_missing_slice_says_nothing():
    datasets = repeated(FOUR, [lambda k, d, s=s: setattr(d, "ContentTime", f"1011{s + k:02d}") for s in (1, 20, 40)])
    del datasets[5]
    assert labels_and_sizes(datasets) == [("", 11)]


def test_what_nothing_tells_apart_stays_together():
    assert labels_and_sizes(repeated(FOUR, [set_all(), set_all()])) == [("", 8)]


def test_a_missing_slice_leaves_the_other_volumes_whole():
    datasets = repeated(FOUR, [set_all(TemporalPositionIdentifier=t) for t in (1, 2, 3)])
    del datasets[5]
    assert labels_and_sizes(datasets) == [("time 1 of 3", 4), ("time 2 of 3", 3), ("time 3 of 3", 4)]


def test_a_localiser_is_three_stacks_the_largest_first():
    datasets = [
        dataset
        for (row, column), depth in ((AXIAL, 2), (SAGITTAL, 3), (CORONAL, 1))
        for dataset in build_datasets(
            SeriesSpec(shape=(depth, 4, 6), row_cosine=row, column_cosine=column, modality="MR")
        )
    ]
    assert labels_and_sizes(datasets) == [("sagittal 6 x 4", 3), ("axial 6 x 4", 2), ("coronal 6 x 4", 1)]


def test_matrices_and_pixel_spacings_are_separate():
    datasets = [
        dataset
        for spec in (PLAIN, replace(PLAIN, shape=(5, 4, 6)), replace(PLAIN, shape=(3, 4, 4), pixel_spacing=(0.5, 0.5)))
        for dataset in build_datasets(spec)
    ]
    assert labels_and_sizes(datasets) == [
        ("axial 4 x 4 (stack 1 of 2)", 8),
        ("axial 6 x 4", 5),
        ("axial 4 x 4 (stack 2 of 2)", 3),
    ]


def test_slices_without_a_place_are_kept_apart():
    datasets = build_datasets(PLAIN)
    del datasets[0].ImagePositionPatient
    assert labels_and_sizes(datasets) == [("axial 4 x 4", 7), ("slices without a place", 1)]


def test_frames_of_an_enhanced_object_are_slices():
    (volume,) = split_series(series_of([build_enhanced(PLAIN_MR)]))
    assert [plane.frame for plane in volume.slices] == list(range(8))


def test_an_enhanced_object_with_broken_groups_stays_one_plane():
    dataset = build_enhanced(PLAIN_MR)
    dataset.NumberOfFrames = 99
    assert labels_and_sizes([dataset]) == [("", 1)]


@pytest.mark.parametrize(
    ("cosines", "plane"),
    [(AXIAL, "axial"), (SAGITTAL, "sagittal"), (CORONAL, "coronal"), (OBLIQUE, "oblique")],
    ids=str,
)
def test_planes_have_names(cosines, plane):
    dataset = Dataset()
    dataset.ImageOrientationPatient = [*cosines[0], *cosines[1]]
    assert plane_of(dataset) == plane


def test_no_plane():
    assert plane_of(Dataset()) == ""
