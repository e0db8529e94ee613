"""Which studies run, how urgently, and when: the site's rules, tried from the first to the last.

A rule applies when everything that it names holds; the first that applies decides. Where none does, a study runs
at once with the ordinary priority.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts

ORDINARY_PRIORITY = 100
PATIENT_TAGS = re.compile("Patient|Person|Ethnic|Occupation")

Hours = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a rule may look at.

    calling_aets : application entities that sent the series; none when it came by another way than C-STORE
    at_rest, now : local times at which the last image came, and of the decision
    """

    study: StudyFacts
    series: Sequence[SeriesFacts]
    calling_aets: frozenset[str]
    at_rest: datetime
    now: datetime


class SiteRule(BaseModel):
    """One ``[[rules]]`` table.

    modalities : one of them is among the study's CT and MR series
    calling_aet : regular expression that the whole title of a sender matches
    tags : regular expression per DICOM keyword, found in the value that the study or one of its series has
    during : local time of day, "07:00-19:00", in which the last image came; the end may lie on the next day
    run : false leaves the study alone unless somebody asks
    priority : 1 goes first
    start : local time of day in which the work may be queued; a study that comes at another time waits for it
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64)
    modalities: frozenset[str] = frozenset()
    calling_aet: str | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    during: Hours | None = None
    run: bool = True
    priority: int = Field(ORDINARY_PRIORITY, ge=1, le=1000)
    start: Hours | None = None

    @field_validator("calling_aet")
    @classmethod
    def _aet_compiles(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else _compiling(pattern)

    @field_validator("tags")
    @classmethod
    def _tags_compile(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        for keyword, pattern in tags.items():
            if PATIENT_TAGS.search(keyword):
                raise ValueError(f"{keyword}: expected a tag of the study or the series, this one is the patient's")
            _compiling(pattern)
        return tags

    def applies_to(self, candidate: Candidate) -> bool:
        return (
            (not self.modalities or any(one.modality in self.modalities for one in candidate.series))
            and (self.calling_aet is None or any(re.fullmatch(self.calling_aet, a) for a in candidate.calling_aets))
            and all(_is_found(pattern, keyword, candidate) for keyword, pattern in self.tags.items())
            and seconds_until(self.during, candidate.at_rest) == 0
        )


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """What the rules say of one study. rule : name of the rule that decided, None when none applied."""

    rule: str | None = None
    run: bool = True
    priority: int = ORDINARY_PRIORITY
    wait_seconds: float = 0.0


def judge(rules: Iterable[SiteRule], candidate: Candidate) -> SiteVerdict:
    rule = next((rule for rule in rules if rule.applies_to(candidate)), None)
    if rule is None:
        return SiteVerdict()
    return SiteVerdict(
        rule=rule.name, run=rule.run, priority=rule.priority, wait_seconds=seconds_until(rule.start, candidate.now)
    )


def describe(rule: SiteRule) -> str:
    """One line: when it applies, and what then.

    >>> describe(SiteRule(name="night MR", modalities={"MR"}, start="19:00-06:00"))
    'night MR: modalities MR: start 19:00-06:00'
    """
    conditions = [f"modalities {', '.join(sorted(rule.modalities))}"] if rule.modalities else []
    conditions += [f"calling_aet {rule.calling_aet}"] if rule.calling_aet is not None else []
    conditions += [f"{keyword} {pattern}" for keyword, pattern in rule.tags.items()]
    conditions += [f"during {rule.during}"] if rule.during is not None else []
    outcome = [f"priority {rule.priority}"] if rule.priority != ORDINARY_PRIORITY else []
    outcome += [f"start {rule.start}"] if rule.start is not None else []
    action = "left alone" if not rule.run else ", ".join(outcome) or "run"
    return f"{rule.name}: {'; '.join(conditions) or 'every study'}: {action}"


def seconds_until(hours: Hours | None, at: datetime) -> float:
    """Seconds until the time of day *hours* begins, 0 inside it; its end is outside.

    >>> seconds_until("19:00-06:00", datetime(2026, 1, 31, 18, 59))
    60.0
    """
    if hours is None:
        return 0.0
    begin, end = (time.fromisoformat(text) for text in hours.split("-"))
    now = at.time()
    if (begin <= now < end) if begin < end else (now >= begin or now < end):
        return 0.0
    opening = at.replace(hour=begin.hour, minute=begin.minute, second=0, microsecond=0)
    return (opening - at if opening > at else opening + timedelta(days=1) - at).total_seconds()


def _is_found(pattern: str, keyword: str, candidate: Candidate) -> bool:
    values = [candidate.study.tags.get(keyword), *(one.tags.get(keyword) for one in candidate.series)]
    return any(value is not None and re.search(pattern, value) for value in values)


def _compiling(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression, {error}") from error
    return pattern
