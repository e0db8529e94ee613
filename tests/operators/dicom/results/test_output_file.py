import hashlib
import os
import secrets
from copy import deepcopy
from dataclasses import replace

import pydicom
import pytest

from invalid_sources import put
from operators.dicom.results import output_file
from operators.dicom.results.output_file import write_dataset
from operators.dicom.study.study_identity import identity_obstacle
from operators.errors import OutputError, ResourceError
from phantoms import SeriesSpec, build_source_series
from result_cases import PROVENANCE, RUN, build_case


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name_of_site", [None, "Universitätsklinikum Łódź"])
@pytest.mark.parametrize(
    ("character_set", "patient_id"),
    [
        (b"ISO_IR 100", b"M\xfcller"),
        (b"ISO_IR 192", "Müller".encode()),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde"),
        (b"GB18030", "王".encode("gb18030")),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B"),
    ],
)
def test_a_patient_id_is_the_sources_to_the_byte(character_set, patient_id, name_of_site, tmp_path):
    def change(header):
        put(header, SpecificCharacterSet=character_set, PatientID=patient_id)

    case = build_case(build_source_series(SeriesSpec(shape=(20, 8, 8), pixel_spacing=(7.0, 9.0)), header=change))
    case = replace(case, run=replace(RUN, provenance=replace(PROVENANCE, institution_name=name_of_site)))
    assert identity_obstacle(case.source.headers[0]) is None
    written = pydicom.dcmread(write_dataset(case.report(), tmp_path, source=case.source.headers[0]).path)
    assert written.get_item("PatientID").value.rstrip(b" ") == patient_id
    assert written["SpecificCharacterSet"] == case.source.headers[0]["SpecificCharacterSet"]


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
