import hashlib
import os
import secrets
from copy import deepcopy

import pydicom
import pytest

from operators.dicom.results import output_file
from operators.dicom.results.output_file import write_dataset
from operators.errors import OutputError, ResourceError
from phantoms import SeriesSpec, build_source_series
from result_cases import build_case


@pytest.fixture(scope="module")
def case():
    return build_case(build_source_series(SeriesSpec()))


@pytest.fixture(scope="module")
def segmentation(case):
    return case.segmentation()


def test_the_record_describes_the_file(case, segmentation, tmp_path):
    file = write_dataset(segmentation, tmp_path, source=case.source.headers[0])
    content = file.path.read_bytes()
    assert [file.path] == list(tmp_path.iterdir())
    assert file.path.name == f"SEG_{file.sop_instance_uid}.dcm"
    assert (file.sha256, file.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert content[:132] == bytes(128) + b"DICM"
    written = pydicom.dcmread(file.path)
    assert (file.kind, file.sop_class_uid) == ("SEG", written.SOPClassUID)
    assert (file.series_instance_uid, file.sop_instance_uid) == (written.SeriesInstanceUID, written.SOPInstanceUID)


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_a_result_for_somebody_else_is_not_written(keyword, segmentation, tmp_path):
    source = pydicom.Dataset()
    source.PatientID, source.StudyInstanceUID = segmentation.PatientID, segmentation.StudyInstanceUID
    source[keyword].value = "1.2.3"
    with pytest.raises(OutputError, match=f"{keyword} differs from the source's") as raised:
        write_dataset(segmentation, tmp_path, source=source)
    assert "1.2.3" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_short_is_removed(case, segmentation, tmp_path):
    file = write_dataset(segmentation, tmp_path, source=case.source.headers[0])
    os.truncate(file.path, file.bytes - 1)
    with pytest.raises(OutputError, match=f"expected {file.bytes} bytes on the disk"):
        output_file._check_reads_back(file.path, segmentation, file.bytes)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_output_error(case, segmentation, tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write_dataset(segmentation, tmp_path / "absent", source=case.source.headers[0])


@pytest.mark.parametrize("pixels", [bytes(16), bytes(2**20)], ids=["met at the end", "met inside an element"])
def test_a_full_disk_is_a_resource_error(pixels, case, segmentation, tmp_path, monkeypatch):
    segmentation = deepcopy(segmentation)
    segmentation.PixelData = pixels
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0")
    (tmp_path / f".SEG_{segmentation.SOPInstanceUID}.dcm.0.part").symlink_to("/dev/full")
    with pytest.raises(ResourceError, match="the disk is full"):
        write_dataset(segmentation, tmp_path, source=case.source.headers[0])
    assert list(tmp_path.iterdir()) == []
