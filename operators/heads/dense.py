"""Anatomy by a decoder of the patch tokens; background has the evidence 0."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from operators.domain.finding import Algorithm, Finding
from operators.heads.evidence import CellEvidence
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, Needs, SeriesFeatures
from operators.heads.labels import Label, read_labels, segment_labels
from operators.heads.masks import ClassMasks
from operators.heads.pixel_decoder import PixelDecoder, PixelDecoderRecord, block_evidence, read_pixel_decoder


class DecoderRecord(PixelDecoderRecord):
    """head.toml of a decoder.

    minimum_volume_ml : smaller connected parts are dropped, smaller holes filled
    """

    task: Literal["segmentation"]
    minimum_volume_ml: float = Field(0.0, ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class DecoderHead:
    record: DecoderRecord
    labels: tuple[Label, ...]
    decoder: PixelDecoder
    algorithm: Algorithm
    needs: Needs = Needs(tokens=True, image=True)

    def begin(self, series: SeriesFeatures) -> "_Reading":
        cells = CellEvidence(series.features.geometry, num_classes=len(self.labels), subdivision=2**self.record.levels)
        return _Reading(self, self.decoder.on(series.device), cells)

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        """None: anatomy is no finding."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: DecoderHead
    decoder: PixelDecoder
    cells: CellEvidence

    def take(self, block: FeatureBlock) -> None:
        self.cells.put_image(block.place, block_evidence(self.decoder, block))

    def answer(self) -> HeadAnswer:
        record = self.head.record
        masks = ClassMasks(record.name, self.head.labels, self.cells.volumes(), record.minimum_volume_ml)
        return HeadAnswer(masks=(masks,))


def read_head(folder: HeadFolder) -> DecoderHead:
    record = folder.record(DecoderRecord)
    labels = segment_labels(read_labels(folder.path), folder.path)
    decoder = read_pixel_decoder(folder, record, num_classes=len(labels))
    return DecoderHead(record, labels, decoder, folder.algorithm(record))
