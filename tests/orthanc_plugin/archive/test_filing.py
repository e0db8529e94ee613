from io import BytesIO

import pytest
from pydicom import Dataset

from orthanc_plugin.archive.filing import filing_of
from phantoms import SeriesSpec, build_datasets
from raw_headers import written_with


def written(*, character_set: str | list[str] | None = None, patient_id: bytes = b"ID-1", name: str = "A^B") -> bytes:
    dataset = build_datasets(SeriesSpec(shape=(4, 8, 8), patient_name=name))[0]
    return written_with(dataset, character_set=character_set, PatientID=patient_id)


def test_plain_values_are_filed_alike_whatever_the_character_set() -> None:
    assert filing_of(written()) == filing_of(written(character_set="ISO_IR 192", patient_id=b"ID-1", name="Ä"))
    assert filing_of(written()) != filing_of(written(patient_id=b"ID-2"))


@pytest.mark.parametrize("patient_id", [b"M\xfcller", b"\x1b$B;3ED\x1b(B"], ids=["8 bits", "an escape"])
def test_other_values_are_filed_alike_only_in_the_same_character_set(patient_id: bytes) -> None:
    same = written(patient_id=patient_id, character_set=["", "ISO 2022 IR 87"])
    assert filing_of(same) == filing_of(written(patient_id=patient_id, character_set=["", "ISO 2022 IR 87"], name="C"))
    assert filing_of(same) != filing_of(written(patient_id=patient_id))
    assert filing_of(same) != filing_of(written(patient_id=patient_id, character_set="ISO_IR 100"))


def test_a_recoded_value_is_filed_elsewhere_though_it_reads_the_same() -> None:
    recoded = written(patient_id="Müller".encode(), character_set="ISO_IR 192")
    assert filing_of(written(patient_id=b"M\xfcller", character_set="ISO_IR 100")) != filing_of(recoded)


def test_an_object_without_the_values_and_without_a_preamble_is_read() -> None:
    stream = BytesIO()
    dataset = Dataset()
    dataset.PatientName = "A"
    dataset.save_as(stream, implicit_vr=True, little_endian=True)
    assert filing_of(stream.getvalue()) == (b"", b"")
