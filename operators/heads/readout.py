"""From the features of a series to all that the heads say about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from operators.domain.finding import Finding
from operators.domain.geometry import Geometry
from operators.domain.measurement import Measurement
from operators.domain.volume import Volume
from operators.heads.head import Head, HeadAnswer, Heads, Point, SeriesFeatures, ask
from operators.heads.masks import Masks
from operators.heads.scope import region_obstacle, series_obstacle


@dataclass(frozen=True, slots=True, eq=False)
class FindingsReadout:
    """What the heads say about one series.

    evidence : log odds on the token grid, for each finding that was evaluated
    points : (x, y, z) LPS mm of the place that decided a finding, where no mask shows it
    masks : what is to be drawn, anatomy first, then present findings
    regions : probability of each body region, empty without such a head
    """

    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    evidence: Mapping[str, Volume] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)
    masks: tuple[Masks, ...] = ()
    regions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Opinion:
    """What one head says of one finding; of several the one with the smallest rank counts."""

    rank: int
    finding: Finding


def predict_findings(series: SeriesFeatures, heads: Heads) -> FindingsReadout:
    """Ask every head that was trained on such a series; say of the others why not.

    All heads are asked in one pass over the features, those for other body regions too: only the features tell. Heads
    that read a region of interest are asked in a second one, once it is drawn.
    """
    by_headers = {head.record.name: _header_obstacle(head, series) for head in heads.all}
    fitting = [head for head in heads.all if by_headers[head.record.name] is None]
    answers = _answers([head for head in fitting if head.needs.segment is None], series)
    regions = next((answer.regions for answer in answers.values() if answer.regions), {})
    in_region = [head for head in fitting if head.needs.segment is not None]
    if in_region:
        drawing = [
            answers[head.record.name]
            for head in heads.of("segmentation")
            if head.record.name in answers and region_obstacle(head.record, regions) is None
        ]
        wanted = {str(head.needs.segment) for head in in_region}
        answers |= _answers(in_region, replace(series, masks=dict(_segment_masks(drawing, wanted, series.source))))
    opinions: dict[str, list[_Opinion]] = {}
    valid: list[HeadAnswer] = []
    for head in heads.all:
        obstacle = by_headers[head.record.name] or region_obstacle(head.record, regions)
        if obstacle is None:
            valid.append(answers[head.record.name])
        for opinion in _opinions(head, series, obstacle, valid[-1] if obstacle is None else None):
            opinions.setdefault(opinion.finding.name, []).append(opinion)
    # Heads for one finding are alternatives, say one for each modality: the first that fits is heard.
    chosen = {name: min(of_name, key=lambda opinion: opinion.rank) for name, of_name in opinions.items()}
    heard = {(name, opinion.finding.head) for name, opinion in chosen.items()}
    return FindingsReadout(
        findings=tuple(opinion.finding for opinion in chosen.values()),
        measurements=tuple(measurement for answer in valid for measurement in answer.measurements),
        evidence=dict(_heard_evidence(valid, heard)),
        points={
            finding.name: answer.points[finding.name]
            for answer in valid
            for finding in answer.findings
            if (finding.name, finding.head) in heard and finding.name in answer.points
        },
        masks=tuple(sorted(_heard_masks(valid, heard), key=lambda masks: masks.finding is not None)),
        regions=regions,
    )


def _header_obstacle(head: Head, series: SeriesFeatures) -> str | None:
    return series_obstacle(
        head.record,
        modality=series.modality,
        values=series.values,
        num_slices=series.features.geometry.shape[0],
        contrast=series.contrast,
    )


def _answers(heads: Sequence[Head], series: SeriesFeatures) -> dict[str, HeadAnswer]:
    return dict(zip((head.record.name for head in heads), ask(heads, series), strict=True))


def _segment_masks(
    answers: Sequence[HeadAnswer], wanted: set[str], source: Geometry
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for answer in answers:
        for masks in answer.masks:
            for region in masks.regions(source, with_probabilities=False):
                if region.label.name in wanted:
                    yield region.label.name, region.mask


def _opinions(
    head: Head, series: SeriesFeatures, obstacle: str | None, answer: HeadAnswer | None
) -> Iterator[_Opinion]:
    if answer is not None:
        yield from (_Opinion(0, finding) for finding in answer.findings)
    else:
        # The obstacle of the head for this modality tells more than "the other head is for MR".
        rank = 1 if series.modality in head.record.modality else 2
        yield from (_Opinion(rank, finding) for finding in head.unanswered(series, obstacle or ""))


def _heard_evidence(answers: list[HeadAnswer], heard: set[tuple[str, str]]) -> Iterator[tuple[str, Volume]]:
    for answer in answers:
        for finding in answer.findings:
            if (finding.name, finding.head) in heard and finding.name in answer.evidence:
                yield finding.name, answer.evidence[finding.name]


def _heard_masks(answers: list[HeadAnswer], heard: set[tuple[str, str]]) -> Iterator[Masks]:
    for answer in answers:
        yield from (masks for masks in answer.masks if masks.finding is None or (masks.finding, masks.head) in heard)
