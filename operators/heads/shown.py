"""Where the present findings of a class head lie: regions of what speaks for them, or the slice that decided."""

from collections.abc import Callable, Sequence

import numpy as np

from operators.domain.concepts import ABNORMAL_STRUCTURE
from operators.domain.finding import Finding
from operators.heads.classes import ClassRecord
from operators.heads.contributions import Contributions
from operators.heads.head import HeadAnswer, Point, SeriesFeatures
from operators.heads.labels import Label
from operators.heads.masks import ContributionMasks, Masks


def shown(
    record: ClassRecord,
    labels: Sequence[Label],
    findings: tuple[Finding, ...],
    series: SeriesFeatures,
    contributions: Callable[[int], Contributions],
) -> HeadAnswer:
    """The answer with a place for each present finding.

    contributions : to the score of an output by its number; asked for only where the finding is present
    """
    masks: list[Masks] = []
    points: dict[str, Point] = {}
    for number, (label, finding) in enumerate(zip(labels, findings, strict=True)):
        if finding.present:
            found = contributions(number)
            points[finding.name] = _strongest(found, series)
            if (found.tokens.array > 0).any():
                masks.append(_masks(record, label, finding, found))
    return HeadAnswer(findings=findings, masks=tuple(masks), points=points)


def _strongest(found: Contributions, series: SeriesFeatures) -> Point:
    """Where the strongest token lies, for regions that are all too small to be drawn; else the middle of its slice."""
    values = found.tokens.array
    if not (values > 0).any():
        return series.centre_of(int(found.cls.argmax()))
    x, y, z = found.tokens.geometry.positions(np.array(np.unravel_index(int(values.argmax()), values.shape)))
    return float(x), float(y), float(z)


def _masks(record: ClassRecord, label: Label, finding: Finding, found: Contributions) -> ContributionMasks:
    # A finding that names no category is one of something abnormal (CID 7150).
    label = label if label.category else label.model_copy(update={"category": ABNORMAL_STRUCTURE})
    return ContributionMasks(
        head=record.name,
        finding=finding.name,
        label=label,
        contributions=found.tokens,
        share=record.region_share,
        minimum_volume_ml=record.minimum_volume_ml,
    )
