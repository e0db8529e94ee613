"""The faithfulness of a trained head's regions: see `operators.heads.faithfulness`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from operators.encoder.snapshot import Snapshot
from operators.heads.distance import GuardedHead
from operators.heads.faithfulness import deletion
from operators.heads.head import HeadFolder, SeriesFeatures, ask
from operators.heads.kinds import read_head
from operators.heads.masks import ContributionMasks, FindingMask, share_threshold
from operators.model.digests import folder_digest
from trainer.head_training.examples import Example


@dataclass(frozen=True, slots=True)
class DeletionResult:
    """Over the studies in which the finding was called present.

    region_drop : by how much the log odds fall without the region, in the mean
    share_beaten : of the regions elsewhere, those whose removal lowers them less; 0.5 is chance
    """

    finding: str
    studies: int
    region_drop: float
    share_beaten: float


def measure_deletion(
    folder: Path, snapshot: Snapshot, studies: Sequence[Example], *, tries: int, seed: int
) -> tuple[DeletionResult, ...]:
    """Take out what made each present finding, study by study.

    folder : of the head
    """
    head = read_head(HeadFolder(folder, snapshot, folder_digest(folder)))
    if isinstance(head, GuardedHead):
        # What is left after a deletion may be unlike every series; it is judged all the same.
        head = head.head
    drops: dict[str, list[tuple[float, float]]] = {}
    for number, example in enumerate(studies):
        features, modality = example.features, head.record.modality[0]
        images = example.encoder_input if head.needs.image else None
        series = SeriesFeatures(features, features.geometry, modality, f"1.2.{number}", encoder_input=images)
        (answer,) = ask([head], series)
        for finding, region in _regions(answer.masks, features.geometry.shape):
            found = deletion(head, series, finding, region, tries=tries, seed=seed + number)
            drops.setdefault(finding, []).append((found.region_drop, found.share_beaten))
    return tuple(
        DeletionResult(finding, len(values), *(float(column) for column in np.mean(values, axis=0)))
        for finding, values in drops.items()
    )


def _regions(masks: Iterable[object], tokens: tuple[int, int, int]) -> Iterable[tuple[str, np.ndarray]]:
    """Names of findings with the tokens, (S, rows, columns) bool, in which they are seen."""
    for mask in masks:
        if isinstance(mask, ContributionMasks):
            values = np.asarray(mask.contributions.array, np.float64)
            region = values > share_threshold(values, mask.share)
        elif isinstance(mask, FindingMask):
            slices, rows, columns = tokens
            within = np.asarray(mask.evidence.array) > mask.threshold
            region = np.asarray(within.reshape(slices, rows, within.shape[1] // rows, columns, -1).any(axis=(2, 4)))
        else:
            continue
        if region.any() and not region.all():
            yield mask.finding, region
