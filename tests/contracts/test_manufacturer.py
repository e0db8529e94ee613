"""The service knows our own results by their manufacturer: else it would read them as new source images."""

from dataclasses import fields

from operators.dicom.results.provenance import Provenance
from orthanc_plugin.domain.source import MANUFACTURER


def test_the_manufacturer_that_is_written_is_the_one_that_is_recognised():
    (manufacturer,) = [field.default for field in fields(Provenance) if field.name == "manufacturer"]
    assert manufacturer == MANUFACTURER
