"""One finding: evidence in each patch token or cell, a calibrated probability for the series."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from operators.domain.finding import Algorithm, Finding
from operators.domain.volume import Volume
from operators.errors import CheckpointError
from operators.heads.evidence import CellEvidence
from operators.heads.head import FeatureBlock, HeadAnswer, HeadFolder, HeadRecord, Needs, SeriesFeatures, finding_of
from operators.heads.labels import Label, read_labels, segment_labels
from operators.heads.linear import Linear, read_linear
from operators.heads.masks import FindingMask
from operators.heads.pixel_decoder import PixelDecoder, PixelDecoderRecord, block_evidence, read_pixel_decoder
from operators.heads.records import Record


class Calibration(Record):
    """Logistic: probability = 1 / (1 + exp(-(slope * score + intercept)))."""

    slope: float
    intercept: float


class FindingRecord(HeadRecord):
    """What the evidence of tokens or cells is summed up by to a probability for the series.

    top_tokens : a slice's score is the mean evidence of so many of its tokens, or of the cells that fill as many
    calibration : of the best slice's score
    threshold : probability from which the finding is called present
    mask_threshold : evidence from which a voxel belongs to it
    """

    task: Literal["finding"]
    top_tokens: int = Field(ge=1)
    calibration: Calibration
    threshold: float = Field(ge=0, le=1)
    mask_threshold: float
    minimum_volume_ml: float = Field(ge=0)


class LinearFindingRecord(FindingRecord):
    """Linear in each patch token."""

    kind: Literal["linear"]
    inputs: tuple[Literal["tokens"]]


class DecodedFindingRecord(PixelDecoderRecord, FindingRecord):
    """Of a finding that is outlined by a decoder of the tokens and the image."""


@dataclass(frozen=True, slots=True, eq=False)
class FindingHead:
    """Evidence for one finding, by a map of each token or a decoder.

    levels : of a decoder; 0 where evidence is linear in the tokens
    """

    record: FindingRecord
    label: Label
    evidence_of: Linear | PixelDecoder
    levels: int
    algorithm: Algorithm

    @property
    def needs(self) -> Needs:
        return Needs(tokens=True, image=isinstance(self.evidence_of, PixelDecoder))

    def begin(self, series: SeriesFeatures) -> "_Reading":
        cells = CellEvidence(series.features.geometry, num_classes=1, subdivision=2**self.levels)
        return _Reading(self, series, self.evidence_of.on(series.device), cells)

    def unanswered(self, series: SeriesFeatures, reason: str) -> tuple[Finding, ...]:
        return (finding_of(self.label, self.record, series, threshold=self.record.threshold, reason=reason),)

    def probability(self, evidence: Volume) -> float:
        """That the series shows the finding in any slice."""
        calibration = self.record.calibration
        score = float(slice_scores(evidence, self.record.top_tokens * 4**self.levels).max())
        return float(expit(calibration.slope * score + calibration.intercept))


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    head: FindingHead
    series: SeriesFeatures
    evidence_of: Linear | PixelDecoder
    cells: CellEvidence

    def take(self, block: FeatureBlock) -> None:
        if isinstance(self.evidence_of, PixelDecoder):
            self.cells.put_image(block.place, block_evidence(self.evidence_of, block))
        else:
            self.cells.put(block.place, self.evidence_of(block.tokens))

    def answer(self) -> HeadAnswer:
        record, label = self.head.record, self.head.label
        (evidence,) = self.cells.volumes()
        probability = self.head.probability(evidence)
        present = probability >= record.threshold
        finding = finding_of(
            label, record, self.series, probability=probability, threshold=record.threshold, present=present
        )
        mask = FindingMask(record.name, label.name, label, evidence, record.mask_threshold, record.minimum_volume_ml)
        return HeadAnswer(findings=(finding,), evidence={label.name: evidence}, masks=(mask,) if present else ())


def slice_scores(evidence: Volume, top: int) -> NDArray[np.float32]:
    """(S,): mean evidence of the *top* strongest tokens or cells of each slice."""
    per_slice = np.asarray(evidence.array, np.float32).reshape(evidence.geometry.shape[0], -1)
    strongest: NDArray[np.float32] = np.partition(per_slice, -top, axis=1)[:, -top:]
    return np.asarray(strongest.mean(axis=1), np.float32)


def read_head(folder: HeadFolder) -> FindingHead:
    record = folder.record(LinearFindingRecord)
    label = _label(folder)
    linear = read_linear(folder.path, num_outputs=1, num_features=folder.width)
    return FindingHead(record, label, linear, 0, folder.algorithm(record))


def read_decoded_head(folder: HeadFolder) -> FindingHead:
    record = folder.record(DecodedFindingRecord)
    label = _label(folder)
    decoder = read_pixel_decoder(folder, record, num_classes=1)
    return FindingHead(record, label, decoder, record.levels, folder.algorithm(record))


def _label(folder: HeadFolder) -> Label:
    labels = segment_labels(read_labels(folder.path), folder.path)
    if len(labels) != 1:
        raise CheckpointError(f"head {folder.path.name}: expected one label for a finding, got {len(labels)}")
    return labels[0]
