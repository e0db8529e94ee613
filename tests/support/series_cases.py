"""Series for tests of the selection: phantoms with changed headers, as the study index would hold them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from operators.dicom.study.study_index import Instance, SeriesIndex
from phantoms import SeriesSpec, build_datasets

Change = Callable[[int, Dataset], None]
"""Told the number of a slice and its dataset."""

PLAIN = SeriesSpec(shape=(8, 4, 4))
PLAIN_MR = replace(PLAIN, modality="MR", series="mr")


def indexed(spec: SeriesSpec, change: Change = lambda number, dataset: None) -> SeriesIndex:
    """The series of a phantom with every slice changed."""
    datasets = build_datasets(spec)
    for number, dataset in enumerate(datasets):
        change(number, dataset)
    return series_of(datasets)


def series_of(datasets: Sequence[Dataset]) -> SeriesIndex:
    """Datasets as one series."""
    instances = tuple(Instance(Path(f"{number}.dcm"), dataset, True) for number, dataset in enumerate(datasets))
    return SeriesIndex(str(datasets[0].get("SeriesInstanceUID", "")), str(datasets[0].Modality), instances)


def set_all(**values: object) -> Change:
    def change(_: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def repeated(spec: SeriesSpec, changes: Sequence[Change]) -> list[Dataset]:
    """The slices of a phantom once for each change, with SOP Instance UIDs of their own."""
    datasets = []
    for repetition, change in enumerate(changes):
        for number, dataset in enumerate(build_datasets(spec)):
            dataset.SOPInstanceUID = spec.uid(f"{repetition} {number}")
            change(number, dataset)
            datasets.append(dataset)
    return datasets


def raw(dataset: Dataset, keyword: str, value: bytes, vr: str = "DS") -> None:
    """Put bytes into a header that pydicom would not write."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    tag = Tag(tag_for_keyword(keyword))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
