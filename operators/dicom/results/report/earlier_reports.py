"""Our own earlier reports among a study's files: what a new report is a later version of."""

from collections.abc import Iterable, Sequence

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from operators.dicom.results.report.document import ReportKind
from operators.dicom.results.report.findings_report import MARKED
from operators.dicom.results.run_context import RunContext
from operators.dicom.study.header_values import text_of, value_of
from operators.domain.concepts import IMAGING_MEASUREMENT_REPORT, PROCESSING_EQUIPMENT


def earlier_reports(headers: Iterable[Dataset], kind: ReportKind, run: RunContext) -> tuple[Dataset, ...]:
    """The reports that another run wrote: on other images of the study, by another model or under other settings.

    kind : of the report that is to be written

    A report of an equal run is the very report that is about to be written again, and precedes nothing.
    """
    series_instance_uid = run.identity.uid(kind.name)
    found = {
        text_of(header, "SOPInstanceUID"): header
        for header in headers
        if _is_our_report(header, run.provenance.manufacturer)
        and text_of(header, "SeriesInstanceUID") != series_instance_uid
    }
    return tuple(found[uid] for uid in sorted(found))


def _is_our_report(header: Dataset, manufacturer: str) -> bool:
    """By SOP class, title and root template, and by the equipment that IHE AIR has every result name.

    A report of a region that somebody marked says nothing of the study's findings, and so precedes no report of them.
    """
    return (
        text_of(header, "SOPClassUID") == Comprehensive3DSRStorage
        and text_of(header, "SeriesNumber") != str(MARKED.series_number)
        and _names(_items(header, "ContentTemplateSequence"), "TemplateIdentifier", "1500")
        and _names(_items(header, "ConceptNameCodeSequence"), "CodeValue", IMAGING_MEASUREMENT_REPORT.value)
        and any(
            text_of(item, "Manufacturer") == manufacturer
            and text_of(item, "DeviceUID") != ""
            and _names(_items(item, "PurposeOfReferenceCodeSequence"), "CodeValue", PROCESSING_EQUIPMENT.value)
            for item in _items(header, "ContributingEquipmentSequence")
        )
    )


def _items(header: Dataset, keyword: str) -> Sequence[Dataset]:
    return value_of(header, keyword) or ()


def _names(items: Sequence[Dataset], keyword: str, expected: str) -> bool:
    return any(text_of(item, keyword) == expected for item in items)
