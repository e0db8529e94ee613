"""Organs: a linear map of each patch token to the cells within it; background has the evidence 0."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from operators.domain.finding import Algorithm, Finding
from operators.heads.evidence import CellEvidence
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, HeadRecord, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels, segment_labels
from operators.heads.linear import Linear, read_linear
from operators.heads.masks import ClassMasks


class SegmentationRecord(HeadRecord):
    """Linear in each patch token; background has the evidence 0.

    subdivision : cells along each side of a patch that are judged each by its own
    minimum_volume_ml : smaller connected parts are dropped, smaller holes filled
    """

    task: Literal["segmentation"]
    kind: Literal["linear"]
    inputs: tuple[Literal["tokens"]]
    subdivision: int = Field(ge=1)
    minimum_volume_ml: float = Field(ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class OrganHead:
    record: SegmentationRecord
    labels: tuple[Label, ...]
    linear: Linear
    algorithm: Algorithm
    needs: Needs = Needs(tokens=True)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        cells = CellEvidence(
            series.features.geometry, num_classes=len(self.labels), subdivision=self.record.subdivision
        )
        return _Reading(self, self.linear.on(series.device), cells)

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        """None: anatomy is no finding."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: OrganHead
    linear: Linear
    cells: CellEvidence

    def take(self, block: FeatureBlock) -> None:
        self.cells.put(block.place, self.linear(block.tokens))

    def answer(self) -> HeadAnswer:
        record = self.head.record
        masks = ClassMasks(record.name, self.head.labels, self.cells.volumes(), record.minimum_volume_ml)
        return HeadAnswer(masks=(masks,))


def read_head(folder: HeadFolder) -> OrganHead:
    record = folder.record(SegmentationRecord)
    labels = segment_labels(read_labels(folder.path), folder.path)
    linear = read_linear(folder.path, num_outputs=len(labels) * record.subdivision**2, num_features=folder.width)
    return OrganHead(record, labels, linear, folder.algorithm(record))
