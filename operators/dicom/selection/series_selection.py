"""Which volume of which series is worth encoding for each role, and why, in plain words.

Every series is split into the volumes it may hold; each is judged for every role of its modality. Safety checks,
requirements and exclusions decide, preferences rank, and the best volume of each role is selected. Two volumes whose
scores differ by less than `EQUAL_SCORES` count as equally good: then the later acquisition wins, for a repeated one
was repeated for a reason, and within one series the first (lowest b-value, shortest echo, first time).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from operators.dicom.selection.rules import Role, RuleSet, SelectionRules, default_rules
from operators.dicom.selection.series_splitting import split_series
from operators.dicom.selection.volume_checks import Soundness, check_volume
from operators.dicom.selection.volume_facts import VolumeFacts, acquired
from operators.dicom.study.read_limits import DEFAULT_LIMITS, ReadLimits
from operators.dicom.study.study_index import SeriesIndex, StudyIndex
from operators.dicom.volumes.slices import VolumeCandidate
from operators.errors import NoMatchingSeriesError

EQUAL_SCORES = 0.25
"""A tenth of the usual extent more or less changes the score by less than this."""

EXTENT_UNIT_MM = 20.0
"""Each doubling of the extent beyond this scores one point."""

REGION_POINTS = 3.0
"""What a certain body region adds; nearly as much as all that headers can say for a volume."""

REGION_CONFIDENCE = 0.5
"""Below this probability of its region, a volume does not fit a role."""

_MAX_REASONS = 6


@dataclass(frozen=True, slots=True, eq=False)
class RoleFit:
    """One volume judged for one role.

    score : higher is better, 0 for a volume that does not fit
    reasons : what rules it out, or what speaks for it and against it, with the points
    region_hints : points that header words gave for the role's body region
    """

    role: str
    volume: VolumeCandidate
    fits: bool
    score: float
    reasons: tuple[str, ...]
    region_hints: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SeriesDecision:
    """What was decided about one series.

    roles : what it was selected for; none for a rejected one
    score : of the volume, 0 for a series that was ruled out
    reasons : for a rejected series what rules it out or who was better, for a selected one what speaks for it
    volume : the one that was selected, or the best of a series that was not
    verdicts : every volume of the series for every role
    """

    series: SeriesIndex
    roles: tuple[str, ...]
    score: float
    reasons: tuple[str, ...]
    volume: VolumeCandidate
    verdicts: tuple[RoleFit, ...] = ()

    @property
    def selected(self) -> bool:
        return bool(self.roles)

    @property
    def role(self) -> str | None:
        """The roles in one line, for people."""
        return ", ".join(self.roles) or None


_Judged = tuple[SeriesIndex, tuple[RoleFit, ...]]


def select_series(
    index: StudyIndex, rules: SelectionRules | None = None, *, limits: ReadLimits = DEFAULT_LIMITS
) -> tuple[SeriesDecision, ...]:
    """A decision for every series, the selected ones first, then by score; by the default rules if none are given."""
    chosen_rules = rules or default_rules()
    judged = [(series, tuple(_verdicts(series, chosen_rules, limits))) for series in index.series]
    return _elected(judged, chosen_rules)


def check_selected(decisions: Sequence[SeriesDecision]) -> None:
    """Refuse a study of which nothing was selected.

    Raises
    ------
    NoMatchingSeriesError
        When there is no series for any role.
    """
    if not any(decision.selected for decision in decisions):
        raise NoMatchingSeriesError(
            f"study: nothing to read among its {len(decisions)} series; --explain tells why of each"
        )


def with_body_regions(
    decisions: Sequence[SeriesDecision],
    probabilities: Mapping[str, Mapping[str, float]],
    rules: SelectionRules | None = None,
) -> tuple[SeriesDecision, ...]:
    """Decide again, now that the encoder has seen some series: for those, header words about the region fall silent.

    probabilities : for each Series Instance UID the probability of each body region
    """
    chosen_rules = rules or default_rules()
    wanted = {role.name: role.body_region for role in chosen_rules.roles}

    def seen(series: SeriesIndex, verdict: RoleFit) -> RoleFit:
        return _seen(verdict, wanted[verdict.role], probabilities.get(series.series_instance_uid))

    return _decided_again(decisions, seen, chosen_rules)


def without_volumes(
    decisions: Sequence[SeriesDecision], unreadable: Mapping[VolumeCandidate, str], rules: SelectionRules
) -> tuple[SeriesDecision, ...]:
    """Decide again, now that some volumes cannot be read.

    unreadable : why not, in plain words
    """

    def kept(series: SeriesIndex, verdict: RoleFit) -> RoleFit:
        why = unreadable.get(verdict.volume)
        return verdict if why is None else replace(verdict, fits=False, score=0.0, reasons=(why,))

    return _decided_again(decisions, kept, rules)


def _decided_again(
    decisions: Sequence[SeriesDecision], change: Callable[[SeriesIndex, RoleFit], RoleFit], rules: SelectionRules
) -> tuple[SeriesDecision, ...]:
    """With every verdict changed; several decisions about one series share its verdicts."""
    judged = {
        decision.series.series_instance_uid: (
            decision.series,
            tuple(change(decision.series, verdict) for verdict in decision.verdicts),
        )
        for decision in decisions
    }
    return _elected(list(judged.values()), rules)


def _seen(verdict: RoleFit, region: str | None, seen: Mapping[str, float] | None) -> RoleFit:
    if region is None or not seen or not verdict.fits:
        return verdict
    probability = seen.get(region, 0.0)
    if probability < REGION_CONFIDENCE:
        likeliest = max(seen, key=lambda name: seen[name])
        reason = f"the encoder sees {likeliest} ({seen[likeliest]:.2f}), {region} {probability:.2f}"
        return replace(verdict, fits=False, score=0.0, reasons=(reason,))
    points = REGION_POINTS * probability
    score = round(verdict.score - verdict.region_hints + points, 2)
    reason = f"the encoder sees {region}, {probability:.2f} (+{points:.2g})"
    return replace(verdict, score=score, reasons=(reason, *verdict.reasons), region_hints=0.0)


def _verdicts(series: SeriesIndex, rules: SelectionRules, limits: ReadLimits) -> Iterator[RoleFit]:
    roles = [role for role in rules.roles if role.modality == series.modality]
    for volume in split_series(series) if roles else ():
        facts, soundness = VolumeFacts(volume), check_volume(volume, limits)
        for role in roles:
            yield _verdict(facts, soundness, role, rules.every.joined_with(role))


def _verdict(facts: VolumeFacts, soundness: Soundness, role: Role, rules: RuleSet) -> RoleFit:
    against = (*soundness.complaints, *_ruled_out(facts, role, rules))
    if against:
        return RoleFit(role.name, facts.volume, False, 0.0, against)
    extent = math.log2(1 + (facts.extent_mm or 0.0) / EXTENT_UNIT_MM)
    held = [
        rule
        for rule in rules.prefers
        if (facts.everywhere(rule.when) if rule.points > 0 else facts.anywhere(rule.when))
    ]
    points = (*((rule.name, rule.points) for rule in held), *soundness.drawbacks)
    score = extent + sum(point for _, point in points)
    reasons = (_size(facts, extent), *(f"{name} ({point:+g})" for name, point in points))
    hints = sum(rule.points for rule in held if rule.about == "body-region")
    return RoleFit(role.name, facts.volume, True, round(score, 2), reasons, hints)


def _size(facts: VolumeFacts, points: float) -> str:
    if facts.extent_mm is None:
        return _count(facts)
    return f"{_count(facts)} over {facts.extent_mm:.0f} mm ({points:+.1f})"


def _ruled_out(facts: VolumeFacts, role: Role, rules: RuleSet) -> Iterator[str]:
    yield from (rule.name for rule in rules.excludes if facts.anywhere(rule.when))
    yield from (f"lacks: {rule.name}" for rule in rules.requires if not facts.everywhere(rule.when))
    if facts.num_slices < role.min_slices:
        yield f"{_count(facts)}, at least {role.min_slices} are needed"


def _count(facts: VolumeFacts) -> str:
    count, total = facts.num_slices, len(facts.volume.slices)
    if count == total:
        return f"{count} slice{'s' * (count > 1)}"
    return f"{total} slices at {count} position{'s' * (count > 1)}"


def _elected(judged: Sequence[_Judged], rules: SelectionRules) -> tuple[SeriesDecision, ...]:
    verdicts = [verdict for _, of_series in judged for verdict in of_series]
    winners = {role.name: _best([one for one in verdicts if one.role == role.name]) for role in rules.roles}
    decisions = [decision for series, mine in judged for decision in _decisions(series, mine, winners, rules)]
    return tuple(sorted(decisions, key=lambda decision: (not decision.selected, -decision.score)))


def _best(verdicts: Sequence[RoleFit]) -> RoleFit | None:
    fitting = [verdict for verdict in verdicts if verdict.fits]
    if not fitting:
        return None
    top = max(verdict.score for verdict in fitting)
    equals = [verdict for verdict in fitting if verdict.score > top - EQUAL_SCORES]
    latest = max(equals, key=lambda verdict: (*acquired(verdict.volume), verdict.volume.series_instance_uid))
    uid = latest.volume.series_instance_uid
    return next(verdict for verdict in equals if verdict.volume.series_instance_uid == uid)


def _decisions(
    series: SeriesIndex, verdicts: Sequence[RoleFit], winners: Mapping[str, RoleFit | None], rules: SelectionRules
) -> Iterator[SeriesDecision]:
    """One for each selected volume of the series, or one that says why there is none."""
    mine = [verdict for verdict in verdicts if winners[verdict.role] is verdict]
    volumes = list(dict.fromkeys(verdict.volume for verdict in mine))
    for volume in volumes:
        chosen = [verdict for verdict in mine if verdict.volume is volume]
        roles = tuple(verdict.role for verdict in chosen)
        reasons = (*_which_volume(volume, verdicts), *chosen[0].reasons)
        yield SeriesDecision(series, roles, chosen[0].score, reasons, volume, tuple(verdicts))
    if not volumes:
        yield _rejected(series, verdicts, winners, rules)


def _which_volume(volume: VolumeCandidate, verdicts: Sequence[RoleFit]) -> tuple[str, ...]:
    volumes = list(dict.fromkeys(verdict.volume for verdict in verdicts))
    if len(volumes) == 1:
        return ()
    return (f"volume {volumes.index(volume) + 1} of {len(volumes)} in the series: {volume.label}",)


def _rejected(
    series: SeriesIndex, verdicts: Sequence[RoleFit], winners: Mapping[str, RoleFit | None], rules: SelectionRules
) -> SeriesDecision:
    if not verdicts:
        modalities = " or ".join(dict.fromkeys(role.modality for role in rules.roles))
        reason = f"modality {series.modality or 'missing'} is not {modalities}"
        return SeriesDecision(series, (), 0.0, (reason,), _whole(series))
    best = _best(verdicts)
    if best is None:
        return SeriesDecision(series, (), 0.0, _objections(verdicts), verdicts[0].volume, tuple(verdicts))
    winner = winners[best.role]
    assert winner is not None, "a fitting verdict has a winner"
    reasons = (_outdone(best, winner), *_which_volume(best.volume, verdicts), *best.reasons)
    return SeriesDecision(series, (), best.score, reasons, best.volume, tuple(verdicts))


def _outdone(verdict: RoleFit, winner: RoleFit) -> str:
    uid, scores = winner.volume.series_instance_uid, f"score {winner.score:g} against {verdict.score:g}"
    if verdict.score > winner.score - EQUAL_SCORES:
        return f"as good as series {uid} for {verdict.role}, {scores}, and not the later one"
    return f"series {uid} is better for {verdict.role}, {scores}"


def _objections(verdicts: Sequence[RoleFit]) -> tuple[str, ...]:
    """What rules out each volume for every role, said once where it holds for all volumes."""
    by_volume: dict[VolumeCandidate, tuple[str, ...]] = {}
    for verdict in verdicts:
        by_volume[verdict.volume] = tuple(dict.fromkeys((*by_volume.get(verdict.volume, ()), *verdict.reasons)))
    if len(by_volume) == 1:
        return next(iter(by_volume.values()))
    if len(set(by_volume.values())) == 1:
        labels = "; ".join(_first([volume.label for volume in by_volume]))
        return (f"{len(by_volume)} volumes in the series: {labels}", *next(iter(by_volume.values())))
    return _first([f"{volume.label}: {'; '.join(reasons)}" for volume, reasons in by_volume.items()])


def _first(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - _MAX_REASONS
    return (*lines[:_MAX_REASONS], *((f"and {more} more volumes",) if more > 0 else ()))


def _whole(series: SeriesIndex) -> VolumeCandidate:
    return VolumeCandidate(series.series_instance_uid, series.modality, ())
