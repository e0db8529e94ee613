from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from phantoms import (
    SeriesSpec,
    build_datasets,
    build_enhanced,
    grid_positions,
    phantom_value,
    save_series,
)
from series_cases import repeated, set_all
from trainer.ingest.found_volumes import FileRule, FoundVolume, Refused, find_volumes
from trainer.ingest.pseudonyms import Pseudonyms
from trainer.ingest.sources import walk

SPEC = SeriesSpec(shape=(5, 12, 16), slice_spacing=6.0)
KEY = Pseudonyms(b"k" * 32)
RULES = (FileRule("NIfTI", "CT", "*_ct.nii.gz"), FileRule("NIfTI", "MR", "*.nii"))


def _find(tree: Path) -> tuple[list[FoundVolume], list[str]]:
    found = [one for folder in walk([tree]) for one in find_volumes(folder, KEY, RULES)]
    volumes = [one for one in found if isinstance(one, FoundVolume)]
    return volumes, sorted(one.reason for one in found if isinstance(one, Refused))


def test_classic_and_enhanced_series_are_the_formulas_values(tmp_path: Path) -> None:
    save_series(build_datasets(SPEC), tmp_path / "classic")
    save_series([build_enhanced(replace(SPEC, series="enhanced"))], tmp_path / "enhanced")

    volumes, refused = _find(tmp_path)

    assert refused == []
    assert len({volume.key for volume in volumes}) == 2
    for volume in volumes:
        np.testing.assert_array_equal(volume.volume.array, phantom_value(grid_positions(SPEC.geometry)))
        np.testing.assert_allclose(volume.volume.geometry.affine, SPEC.geometry.affine, atol=1e-6)


def test_a_series_of_several_volumes_gives_each(tmp_path: Path) -> None:
    spec = replace(SPEC, modality="MR")
    save_series(repeated(spec, [set_all(DiffusionBValue=b) for b in (0.0, 800.0, 1600.0)]), tmp_path)
    volumes, refused = _find(tmp_path)
    assert len({volume.key for volume in volumes}) == 3
    assert refused == []


def test_several_studies_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for patient, study in (("A", "1"), ("A", "2"), ("B", "3")):
        save_series(build_datasets(replace(SPEC, patient_id=patient, study=study)), tmp_path)
    volumes, _ = _find(tmp_path)
    assert len(volumes) == len({volume.study for volume in volumes}) == 3
    assert len({volume.patient for volume in volumes}) == 2


def test_without_an_identifier_a_study_is_a_patient(tmp_path: Path) -> None:
    for study in ("1", "2"):
        save_series(build_datasets(replace(SPEC, patient_id="", study=study)), tmp_path)
    volumes, _ = _find(tmp_path)
    assert len({volume.patient for volume in volumes}) == 2


def test_whatever_is_left_out_has_a_reason_without_names_and_numbers(tmp_path: Path) -> None:
    missing = build_datasets(replace(SPEC, series="missing", patient_name="CANARY^PATIENT", patient_id="CANARY 1"))
    save_series([*missing[:2], *missing[3:]], tmp_path / "missing")
    scout = build_datasets(replace(SPEC, series="scout"))
    for dataset in scout:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save_series(scout, tmp_path / "scout")
    other = build_datasets(replace(SPEC, series="other"))
    for dataset in other:
        dataset.Modality = "PT"
    save_series(other, tmp_path / "other")
    short = save_series(build_datasets(replace(SPEC, series="short")), tmp_path / "short")[1]
    short.write_bytes(short.read_bytes()[:-40])
    (tmp_path / "other/notes CANARY.txt").write_text("CANARY")

    volumes, refused = _find(tmp_path)

    assert volumes == []
    assert len(refused) == 5
    assert {"file: not DICOM", "series: neither CT nor MR", "volume: a localizer"} < set(refused)
    assert not any("CANARY" in reason or any(letter.isdigit() for letter in reason) for reason in refused)


def test_one_broken_file_costs_its_own_series_only(tmp_path: Path) -> None:
    save_series(build_datasets(SPEC), tmp_path)
    whole = save_series(build_datasets(replace(SPEC, series="other")), tmp_path / "elsewhere")[0]
    (tmp_path / "broken.dcm").write_bytes(whole.read_bytes()[:700])
    volumes, refused = _find(tmp_path)
    assert len(volumes) == 2
    assert refused == ["file: DICOM that ends in its header"]


def _save_nifti(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-0.9, -1.2, 3.0, 1.0])), path)
    return voxels


def test_nifti_files_are_what_their_pattern_says(tmp_path: Path) -> None:
    voxels = _save_nifti(tmp_path / "case/one_ct.nii.gz", (16, 12, 5))
    _save_nifti(tmp_path / "case/one_mask.nii.gz", (16, 12, 5))
    (tmp_path / "case/broken_ct.nii.gz").write_bytes(b"no gzip")

    (volume,), refused = _find(tmp_path)

    assert volume.modality == "CT"
    np.testing.assert_array_equal(volume.volume.array, voxels.T)
    # RAS to LPS turns both signs round, so that columns run to the left and rows to the back.
    np.testing.assert_allclose(volume.volume.geometry.affine[:3, :3], np.array([[0, 0, 0.9], [0, 1.2, 0], [3, 0, 0]]))
    assert refused == [
        "NIfTI: cannot be read (ImageFileError)",
        "NIfTI: no --nifti pattern names its modality",
    ]


def test_a_picture_is_a_slice_of_grey_levels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    for name in ("case/one_ct.png", "case/one_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "case/broken_ct.png").write_bytes(b"no picture")

    rules = (FileRule("NIfTI", "MR", "*"), FileRule("picture", "CT", "*_ct.png"))
    found = list(find_volumes(next(walk([tmp_path])), KEY, rules))

    (volume,) = (one for one in found if isinstance(one, FoundVolume))
    assert (volume.modality, volume.values) == ("CT", "grey levels")
    np.testing.assert_array_equal(volume.volume.array[0], pixels)
    assert sorted(one.reason for one in found if isinstance(one, Refused)) == [
        "picture: cannot be read (ValueError)",
        "picture: no --pictures pattern names its modality",
    ]


def test_a_nifti_file_of_four_dimensions_is_a_volume_for_each_time(tmp_path: Path) -> None:
    voxels = _save_nifti(tmp_path / "x.nii", (16, 12, 5, 3))
    volumes, _ = _find(tmp_path)
    assert len({volume.key for volume in volumes}) == 3
    for time, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.volume.array, voxels[..., time].T)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii", True),
        ("sub-01/anat/sub-01_T1w.nii", "sub-02/anat/sub-02_T1w.nii", False),
        ("case1/a.nii", "case1/b.nii", True),
        ("case1/a.nii", "case2/a.nii", False),
    ],
)
def test_the_patient_of_a_nifti_file_is_its_subject_or_its_folder(
    tmp_path: Path, one: str, other: str, is_same: bool
) -> None:
    for name in (one, other):
        _save_nifti(tmp_path / name, (16, 12, 5))
    volumes, _ = _find(tmp_path)
    assert (volumes[0].patient == volumes[1].patient) == is_same
