"""Headers that hold what the standard forbids, as scanners, gateways and people write it: one kind of fault each."""

from collections.abc import Callable

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

Change = Callable[[Dataset], None]


def put(dataset: Dataset, vr: str | None = None, **values: bytes) -> None:
    """Bytes as values, with the dictionary's value representation or another."""
    for keyword, value in values.items():
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, vr or dictionary_VR(tag), len(value), value, 0, False, True)


def item(**values: bytes) -> Dataset:
    made = Dataset()
    put(made, **values)
    return made


def _with(**values: bytes) -> Change:
    return lambda header: put(header, **values)


def _coded(keyword: str = "ProcedureCodeSequence", **values: bytes) -> Change:
    def change(header: Dataset) -> None:
        whole = {"CodeValue": b"P-1", "CodingSchemeDesignator": b"99SITE", "CodeMeaning": b"CT of everything"}
        given = {name: value for name, value in (whole | values).items() if value}
        header[keyword] = DataElement(Tag(keyword), "SQ", Sequence([item(**given)]))

    return change


def _in_another_representation(header: Dataset) -> None:
    put(header, "LO", PatientAge=b"045Y", PatientSize=b"1.8", StudyDescription=b"as it should be")
    put(header, "FD", PatientWeight=bytes(8))
    put(header, "UN", Occupation=b"baker")
    put(header, "SH", PregnancyStatus=b"4 ")


def _with_items(header: Dataset) -> None:
    for keyword, items in {
        "ReferencedStudySequence": [Dataset()],
        "ReferencedPatientSequence": [item(ReferencedSOPClassUID=b"1.2.x", ReferencedSOPInstanceUID=b"1.2.3")],
        "OtherPatientIDsSequence": [item(PatientID=b"x" * 70, TypeOfPatientID=b"TEXT"), item(PatientID=b"A\\B")],
        "IssuerOfAccessionNumberSequence": [item(UniversalEntityID=b"1.2.3")],
        "ReferringPhysicianIdentificationSequence": [item(InstitutionName=b"nobody is named")],
        "PatientSizeCodeSequence": [],
    }.items():
        header[keyword] = DataElement(Tag(keyword), "SQ", Sequence(items))


INVALID: dict[str, Change] = {
    "long Code Value": _coded(CodeValue=b"A procedure of this site"),
    "URN as Code Value": _coded(CodeValue=b"urn:oid:1.2.3.4.5", CodingSchemeDesignator=b""),
    "Long Code Value of a short code": _coded(CodeValue=b"", LongCodeValue=b"P-1"),
    "Code Meaning too long": _coded(CodeMeaning=b"CT of thorax, abdomen and pelvis, contrast medium given " * 2),
    "Code Meaning with a backslash": _coded(CodeMeaning=b"CT thorax\\abdomen"),
    "scheme too long": _coded(CodingSchemeDesignator=b"99SITE_OF_CODES_19X"),
    "no scheme": _coded(CodingSchemeDesignator=b""),
    "code outside its character set": _coded(CodeMeaning="Schädel".encode("latin-1")),
    "numbers too long": _with(AccessionNumber=b"A" * 17, StudyID=b"S" * 17, AdmissionID=b"9" * 65),
    "age, size and weight": _with(PatientAge=b"63", PatientSize=b"1,80", PatientWeight=b"81.000000000000000001"),
    "old dates": _with(StudyDate=b"2024.01.05", StudyTime=b"10:11:12", PatientBirthDate=b"05.06.1950"),
    "names too long": _with(PatientName=b"x" * 65, ReferringPhysicianName=b"a^b^c^d^e^f"),
    "values outside the enumerated": _with(PatientSex=b"W", SmokingStatus=b"SOMETIMES", TypeOfPatientID=b"CARD"),
    "two values for one": _with(StudyDescription=b"a\\b", AccessionNumber=b"1\\2", PatientSex=b"M\\F"),
    "control characters": _with(StudyDescription=b"a\x00\x07b", PatientComments=b"a\x1bb", Occupation=b"a\x9cb"),
    "lower case and blanks": _with(PatientSex=b"m", BodyPartExamined=b"chest", Laterality=b"left"),
    "no character set": _with(SpecificCharacterSet=b"", PatientName=b"M\xfcller", StudyDescription=b"Sch\xe4del"),
    "misspelt character set": _with(SpecificCharacterSet=b"UTF-8", PatientName="Müller".encode()),
    "unknown character set": _with(SpecificCharacterSet=b"none", PatientName=b"Doe^Jane"),
    "text outside UTF-8": _with(SpecificCharacterSet=b"ISO_IR 192", PatientName=b"M\xfcller", PatientState=b"\xff"),
    "another value representation": _in_another_representation,
    "items": _with_items,
    "half a clinical trial": _with(ClinicalTrialProtocolID=b"T-1", ClinicalTrialTimePointDescription=b"baseline"),
    "half a story": _with(PatientIdentityRemoved=b"YES", ResponsiblePerson=b"Doe^Jane", Manufacturer=b"x" * 65),
    "digits of a ruler": _with(
        ImagePositionPatient=b"-34.500000000000000001\\-29.20000000000000001\\-26.5000000000000001",
        PixelSpacing=b"1.20000000000000000001\\0.90000000000000000001",
        SliceThickness=b"3.00000000000000000001",
    ),
    "place without a name": _with(PositionReferenceIndicator=b"x" * 65, InstitutionName=b"a\\b", StationName=b"s" * 17),
}
"""By what is wrong: puts it into a header of a phantom."""
