"""Coded concepts as DICOM writes them."""

import highdicom as hd

from operators.domain.concepts import Code


def coded_concept(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
