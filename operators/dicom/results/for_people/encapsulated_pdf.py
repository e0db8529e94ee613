"""A report for people as a DICOM object: a PDF inside the study."""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from operators.dicom.results.bare_object import bare_object
from operators.dicom.results.codes import coded_concept
from operators.dicom.results.references import distinct_instances, instance_reference
from operators.dicom.results.run_context import RunContext
from operators.dicom.results.stamping import stamp
from operators.domain.concepts import IMAGING_MEASUREMENT_REPORT

SERIES_NUMBER = 9401
TITLE = "AI report"
_SERIES_KEY = "PDF"


def build_encapsulated_pdf(
    pdf: bytes,
    headers: Sequence[Dataset],
    results: Sequence[Dataset],
    *,
    run: RunContext,
) -> Dataset:
    """An Encapsulated PDF (PS3.3 A.45.1).

    headers : of the sources, the first gives patient and study
    results : the SR and SEG that say the same to machines
    """
    dataset, _ = bare_object(
        headers[0],
        run=run,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        series_key=_SERIES_KEY,
        series_number=SERIES_NUMBER,
        title=TITLE,
    )
    _set_document(dataset, pdf, title=run.provenance.series_description(TITLE))
    sources = (*distinct_instances(headers), *results)
    dataset.SourceInstanceSequence = [instance_reference(source) for source in sources]
    stamp(dataset, run, series_key=_SERIES_KEY)
    return dataset


def _set_document(dataset: Dataset, pdf: bytes, *, title: str) -> None:
    """SC Equipment and Encapsulated Document (PS3.3 C.8.6.1, C.24.2)."""
    dataset.ConversionType = hd.sc.ConversionTypeValues.WSD.value
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "NO"  # no page names the patient
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = [coded_concept(IMAGING_MEASUREMENT_REPORT)]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
