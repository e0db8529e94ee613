import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.study.study_index import check_one_study, index_study, split_studies
from operators.errors import InputError, PatientMismatchError
from phantoms import SeriesSpec, build_datasets, save_series

SMALL = SeriesSpec(shape=(4, 8, 8))


def test_files_are_found_by_content_at_any_depth(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path / "a" / "b")
    for number, path in enumerate(sorted((tmp_path / "a" / "b").iterdir())):
        path.rename(path.with_name(f"no name {number}"))
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), series="other", modality="MR")), tmp_path)
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty.dcm").touch()
    study = index_study(tmp_path)
    assert sorted((series.modality, len(series.instances)) for series in study.series) == [("CT", 4), ("MR", 3)]
    assert study.num_other_files == 2
    assert check_one_study(study) == SMALL.uid("study")
    assert not any("PixelData" in header for header in study.headers)


def test_an_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no DICOM file found among 0 files"):
        index_study(tmp_path)


def test_a_folder_without_dicom_is_an_error(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(InputError, match="no DICOM file found among 1 files"):
        index_study(tmp_path)


@pytest.mark.parametrize("share", [0.15, 0.4, 0.7])
def test_a_file_that_ends_in_its_header_is_an_error(tmp_path: Path, share: float):
    paths = save_series(build_datasets(SMALL), tmp_path)
    content = paths[0].read_bytes()
    header_length = len(content) - 8 * 8 * 2
    paths[0].write_bytes(content[: int(header_length * share)])
    with pytest.raises(InputError, match="1 of 4 files start as DICOM but end inside their header"):
        index_study(tmp_path)


def test_two_patients_are_refused(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), series="other", patient_id="PHANTOM-2")), tmp_path)
    with pytest.raises(PatientMismatchError, match="expected one patient, found 2") as caught:
        check_one_study(index_study(tmp_path))
    assert "PHANTOM" not in str(caught.value)


def test_poured_together_studies_are_told_apart(tmp_path: Path):
    for study, series in (("one", "a"), ("one", "b"), ("two", "c")):
        datasets = build_datasets(replace(SMALL, series=series))
        for dataset in datasets:
            dataset.StudyInstanceUID = SMALL.uid(study)
        save_series(datasets, tmp_path / series)
    parts = split_studies(index_study(tmp_path))
    assert {check_one_study(part): len(part.series) for part in parts} == {SMALL.uid("one"): 2, SMALL.uid("two"): 1}


def test_two_studies_are_refused(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path)
    save_series(build_datasets(SeriesSpec(shape=(3, 8, 8), study="another")), tmp_path)
    with pytest.raises(InputError, match="expected one StudyInstanceUID in all instances, found 2"):
        check_one_study(index_study(tmp_path))


def test_a_study_without_a_uid_is_refused(tmp_path: Path):
    datasets = build_datasets(SMALL)
    for dataset in datasets:
        dataset.StudyInstanceUID = ""
    save_series(datasets, tmp_path)
    with pytest.raises(InputError, match="expected one StudyInstanceUID in all instances, found 0"):
        check_one_study(index_study(tmp_path))


def write_dicomdir(folder: Path) -> None:
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.FileSetID = "DISC"
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)


def test_a_dicomdir_is_no_image_and_what_it_lists_is_found(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path / "IMAGES")
    write_dicomdir(tmp_path)
    study = index_study(tmp_path)
    assert [len(series.instances) for series in study.series] == [4]
    assert study.num_other_files == 1


def test_files_without_preamble_are_found(tmp_path: Path):
    for number, dataset in enumerate(build_datasets(SMALL)):
        del dataset.file_meta
        dataset.save_as(tmp_path / str(number), implicit_vr=number % 2 == 0, little_endian=True)
        assert (tmp_path / str(number)).read_bytes()[:2] == b"\x08\x00"
    study = index_study(tmp_path)
    (series,) = study.series
    assert len(series.instances) == 4
    syntaxes = {instance.header.file_meta.TransferSyntaxUID for instance in series.instances}
    assert syntaxes == {ImplicitVRLittleEndian, ExplicitVRLittleEndian}


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100",
        b"\x08\x00\x16\x00UI\x04\x001.2\x00",
        b"\x08\x00\x05\x00" + bytes(range(256)) * 40,
        b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff",
    ],
    ids=["only a character set", "no instance", "noise", "a meta header that lies"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_only_starts_like_a_data_set_is_another_file(tmp_path: Path, content: bytes):
    (tmp_path / "x").write_bytes(content)
    save_series(build_datasets(SMALL), tmp_path)
    assert index_study(tmp_path).num_other_files == 1


def test_equal_files_are_taken_once_and_said(tmp_path: Path):
    paths = save_series(build_datasets(SMALL), tmp_path)
    (tmp_path / "again").mkdir()
    for path in paths:
        shutil.copy(path, tmp_path / "again")
    study = index_study(tmp_path)
    assert [len(series.instances) for series in study.series] == [4]
    assert study.remarks == ("4 files left out, equal to the byte to another one",)


def test_one_sop_instance_uid_with_other_bytes_stays_twice(tmp_path: Path):
    datasets = build_datasets(SMALL)
    save_series(datasets, tmp_path)
    datasets[0].PixelData = bytes(len(datasets[0].PixelData))
    save_series(datasets[:1], tmp_path / "other")
    assert [len(series.instances) for series in index_study(tmp_path).series] == [5]


def test_instances_without_uids_are_reported(tmp_path: Path):
    datasets = build_datasets(SMALL)
    paths = save_series(datasets, tmp_path)
    del datasets[0].SeriesInstanceUID
    datasets[1].SOPInstanceUID = ""
    for dataset, path in zip(datasets[:2], paths, strict=False):
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.save_as(path, enforce_file_format=True)
    study = index_study(tmp_path)
    assert [(series.series_instance_uid == "", len(series.instances)) for series in study.series] == [
        (True, 1),
        (False, 3),
    ]
    assert study.remarks == (
        "1 instance without SeriesInstanceUID; results cannot refer to them, so they are not used",
        "1 instance without SOPInstanceUID; results cannot refer to them, so they are not used",
    )


def test_bulky_private_attributes_are_not_kept(tmp_path: Path):
    datasets = build_datasets(SMALL)
    for dataset in datasets:
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", bytes(100_000))
        block.add_new(0x08, "CS", "IMAGE NUM 4")
    save_series(datasets, tmp_path)
    for header in index_study(tmp_path).headers:
        block = header.private_block(0x0029, "SIEMENS CSA HEADER")
        assert 0x10 not in block
        assert block[0x08].value == "IMAGE NUM 4"


def test_odd_values_do_not_break_the_index(tmp_path: Path):
    paths = save_series(build_datasets(SMALL), tmp_path)
    content = paths[0].read_bytes()
    at = content.index(b"\x20\x00\x32\x00DS")
    paths[0].write_bytes(content[:at] + b"\x20\x00\x32\x00ZZ" + content[at + 6 :])
    at = content.index(b"\x18\x00\x50\x00DS")
    paths[1].write_bytes(paths[1].read_bytes()[: at + 8] + b"x,y " + content[at + 12 :])
    study = index_study(tmp_path)
    assert sum(len(series.instances) for series in study.series) == 4


@pytest.mark.parametrize(
    ("issuers", "refused"),
    [(("", "HOSPITAL"), False), (("HOSPITAL", "HOSPITAL"), False), (("HOSPITAL", "CLINIC"), True)],
)
def test_a_missing_issuer_contradicts_none(tmp_path: Path, issuers: tuple[str, str], refused: bool):
    for issuer, name in zip(issuers, ("a", "b"), strict=True):
        datasets = build_datasets(replace(SMALL, series=name))
        for dataset in datasets:
            dataset.IssuerOfPatientID = issuer
        save_series(datasets, tmp_path)
    study = index_study(tmp_path)
    if refused:
        with pytest.raises(PatientMismatchError, match="expected one patient, found 2"):
            check_one_study(study)
    else:
        assert check_one_study(study) == SMALL.uid("study")


def test_a_missing_patient_id_contradicts_any(tmp_path: Path):
    save_series(build_datasets(SMALL), tmp_path)
    save_series(build_datasets(replace(SMALL, series="other", patient_id="")), tmp_path)
    with pytest.raises(PatientMismatchError, match="found 2"):
        check_one_study(index_study(tmp_path))


def test_progress_is_told(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for number in range(250):
        (tmp_path / "in" / str(number)).touch()
    save_series(build_datasets(SMALL), tmp_path / "in")
    told: list[tuple[int, int]] = []
    index_study(tmp_path / "in", progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 254), (200, 254)]


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path):
    path = save_series(build_datasets(SMALL), tmp_path)[0]
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputError, match="1 of 4 files cannot be opened"):
        index_study(tmp_path)


def test_a_deflated_bomb_is_refused(tmp_path: Path):
    limits = ReadLimits(max_inflated_bytes=2**20)
    datasets = build_datasets(SMALL)
    datasets[0].PixelData = bytes(4 * 2**20)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    (path,) = save_series(datasets[:1], tmp_path)
    assert path.stat().st_size < 2**16
    with pytest.raises(InputError, match="a deflated file unpacks to more than 1048576 bytes"):
        index_study(tmp_path, limits=limits)
    path.unlink()
    save_series(datasets[1:], tmp_path)
    assert len(index_study(tmp_path, limits=limits).series[0].instances) == 3


def test_three_thousand_files_are_indexed_in_seconds(tmp_path: Path):
    paths = save_series(build_datasets(SeriesSpec(shape=(30, 4, 4))), tmp_path)
    contents = [path.read_bytes() for path in paths]
    for copy in range(1, 100):
        for path, content in zip(paths, contents, strict=True):
            uid = str(path.stem).encode()
            changed = uid.replace(b"1.2.826.", f"1.2.{100 + copy}.".encode(), 1)
            (tmp_path / f"{copy} {path.name}").write_bytes(content.replace(uid, changed))
    start = time.perf_counter()
    study = index_study(tmp_path)
    assert sum(len(series.instances) for series in study.series) == 3000
    assert time.perf_counter() - start < 15
