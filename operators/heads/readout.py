"""From the features of a series to its findings: body region first, then every finding that fits it."""

from dataclasses import dataclass, field

from operators.domain.features import FeatureVolume
from operators.domain.finding import Finding
from operators.domain.volume import Volume
from operators.heads.body_region import BodyRegionHead
from operators.heads.finding import FindingHead
from operators.heads.records import Scope
from operators.model.model_folder import Heads

BODY_REGION = "body region"


@dataclass(frozen=True, slots=True, eq=False)
class FindingsReadout:
    """What the heads say about one series.

    evidence : log odds on the token grid, for each finding that was evaluated
    regions : probability of each body region, empty without such a head
    """

    findings: tuple[Finding, ...]
    evidence: dict[str, Volume] = field(default_factory=dict)
    regions: dict[str, float] = field(default_factory=dict)


def predict_findings(
    features: FeatureVolume, heads: Heads, *, modality: str, series_instance_uid: str
) -> FindingsReadout:
    """Ask every head that was trained on such a series; say of the others why not."""
    regions = {} if heads.body_region is None else heads.body_region.probabilities(features)
    findings: list[Finding] = []
    if heads.body_region is not None:
        findings.append(_region_finding(heads.body_region, regions, series_instance_uid))
    evidence: dict[str, Volume] = {}
    for name in dict.fromkeys(head.label.name for head in heads.findings):
        finding, shown = _read_out(
            [head for head in heads.findings if head.label.name == name],
            features,
            modality=modality,
            regions=regions,
            series_instance_uid=series_instance_uid,
        )
        findings.append(finding)
        if shown is not None:
            evidence[name] = shown
    return FindingsReadout(tuple(findings), evidence, regions)


def _read_out(
    heads: list[FindingHead],
    features: FeatureVolume,
    *,
    modality: str,
    regions: dict[str, float],
    series_instance_uid: str,
) -> tuple[Finding, Volume | None]:
    """Heads for one finding are alternatives, say one for each modality: the first that fits is asked."""
    obstacles = []
    for head in heads:
        obstacle = out_of_scope(head.record, modality=modality, regions=regions)
        if obstacle is None:
            evidence = head.evidence(features)
            return _evaluated(head, evidence, series_instance_uid), evidence
        # The obstacle of the head for this modality tells more than "the other head is for MR".
        obstacles.append((modality not in head.record.modality, obstacle, head))
    _, obstacle, head = min(obstacles, key=lambda entry: entry[0])
    return _not_evaluated(head, obstacle, series_instance_uid), None


def out_of_scope(scope: Scope, *, modality: str, regions: dict[str, float]) -> str | None:
    """Why a head does not fit the series, in plain words; None where it fits."""
    if modality not in scope.modality:
        return f"trained on {' and '.join(scope.modality)}, this series is {modality or 'of no named modality'}"
    if not scope.body_region:
        return None
    trained_on = " and ".join(scope.body_region)
    if not regions:
        return f"trained on {trained_on}, and no head tells the body region of this series"
    if sum(regions[name] for name in scope.body_region) >= scope.region_confidence:
        return None
    likeliest = max(regions, key=lambda name: regions[name])
    return f"trained on {trained_on}, this series looks like {likeliest} (probability {regions[likeliest]:.2f})"


def _region_finding(head: BodyRegionHead, regions: dict[str, float], series_instance_uid: str) -> Finding:
    likeliest = max(regions, key=lambda name: regions[name])
    code = next(label.code for label in head.labels if label.name == likeliest)
    return Finding(
        name=BODY_REGION,
        code=head.record.code,
        site=code,
        head=head.record.name,
        series_instance_uid=series_instance_uid,
        probability=regions[likeliest],
        threshold=None,
        present=True,
    )


def _evaluated(head: FindingHead, evidence: Volume, series_instance_uid: str) -> Finding:
    probability = head.probability(evidence)
    return Finding(
        name=head.label.name,
        code=head.label.code,
        site=head.label.site,
        laterality=head.label.laterality,
        head=head.record.name,
        series_instance_uid=series_instance_uid,
        probability=probability,
        threshold=head.record.threshold,
        present=probability >= head.record.threshold,
    )


def _not_evaluated(head: FindingHead, obstacle: str, series_instance_uid: str) -> Finding:
    return Finding(
        name=head.label.name,
        code=head.label.code,
        site=head.label.site,
        laterality=head.label.laterality,
        head=head.record.name,
        series_instance_uid=series_instance_uid,
        probability=None,
        threshold=head.record.threshold,
        present=None,
        not_evaluated=obstacle,
    )
