from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orthanc_plugin.domain.facts import SeriesFacts, StudyFacts
from orthanc_plugin.site.rules import Candidate, SiteRule, SiteVerdict, describe, judge, seconds_until

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STUDY = StudyFacts("id", "1.2.3", True, NOON, tags={"StudyDescription": "Polytrauma CT"})
HEAD = SeriesFacts("1.1", "CT", ("a",), tags={"BodyPartExamined": "HEAD"})
CHEST = SeriesFacts("1.2", "CT", ("b",), tags={"BodyPartExamined": "CHEST"})
CANDIDATE = Candidate(STUDY, (HEAD, CHEST), frozenset({"ED_CT1", "RIS"}), at_rest=NOON, now=NOON)


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ({}, True),
        ({"modalities": ["MR", "CT"]}, True),
        ({"modalities": ["MR"]}, False),
        ({"calling_aet": "ED_.*"}, True),
        ({"calling_aet": "ED"}, False),
        ({"calling_aet": "OTHER"}, False),
        ({"tags": {"StudyDescription": "(?i)TRAUMA"}}, True),
        ({"tags": {"StudyDescription": "TRAUMA"}}, False),
        ({"tags": {"BodyPartExamined": "^CHEST$"}}, True),
        ({"tags": {"BodyPartExamined": "^CHEST$", "StudyDescription": "^MR"}}, False),
        ({"tags": {"ProtocolName": ""}}, False),
        ({"during": "11:59-12:01"}, True),
        ({"during": "12:00-12:01"}, True),
        ({"during": "11:00-12:00"}, False),
        ({"during": "22:00-12:01"}, True),
        ({"modalities": ["CT"], "during": "00:00-01:00"}, False),
    ],
)
def test_a_rule_applies_when_all_that_it_names_holds(conditions: dict, applies: bool) -> None:
    assert SiteRule(name="r", **conditions).applies_to(CANDIDATE) is applies


def test_a_study_that_no_application_entity_sent_matches_no_title() -> None:
    by_rest = Candidate(STUDY, (HEAD,), frozenset(), at_rest=NOON, now=NOON)
    assert not SiteRule(name="r", calling_aet=".*").applies_to(by_rest)


def test_the_first_rule_that_applies_decides() -> None:
    rules = [
        SiteRule(name="mr", modalities=frozenset({"MR"}), run=False),
        SiteRule(name="emergency", calling_aet="ED_.*", priority=1),
        SiteRule(name="rest", run=False),
    ]
    assert judge(rules, CANDIDATE) == SiteVerdict(rule="emergency", priority=1)
    assert judge(rules[:1], CANDIDATE) == SiteVerdict(rule=None, run=True, priority=100, wait_seconds=0.0)


def test_a_study_that_came_by_day_is_still_of_the_day_when_its_hour_comes() -> None:
    rule = SiteRule(name="off-peak", during="07:00-19:00", start="19:00-06:00")
    assert judge([rule], CANDIDATE).wait_seconds == 7 * 3600
    evening = Candidate(STUDY, (HEAD,), frozenset(), at_rest=NOON, now=NOON + timedelta(hours=7))
    assert judge([rule], evening) == SiteVerdict(rule="off-peak")


@given(st.times(), st.times(), st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 12, 1)))
def test_after_the_wait_the_hours_have_begun(begin: object, end: object, now: datetime) -> None:
    hours = f"{begin:%H:%M}-{end:%H:%M}"
    wait = seconds_until(hours, now)
    assert 0 <= wait <= 86400
    assert seconds_until(hours, now + timedelta(seconds=wait)) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"calling_aet": "("}, "expected a regular expression"),
        ({"tags": {"StudyDescription": "["}}, "expected a regular expression"),
        ({"tags": {"PatientName": "x"}}, "PatientName: expected a tag of the study or the series"),
        ({"during": "7-19"}, "during"),
        ({"start": "24:00-06:00"}, "start"),
        ({"priority": 0}, "priority"),
        ({"modality": "CT"}, "Extra inputs"),
    ],
)
def test_wrong_rules_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SiteRule(name="r", **values)


def test_a_rule_is_told_in_one_line() -> None:
    rule = SiteRule(name="ed", modalities=frozenset({"MR", "CT"}), calling_aet="ED_.*", priority=1)
    assert describe(rule) == "ed: modalities CT, MR; calling_aet ED_.*: priority 1"
    assert describe(SiteRule(name="rest", run=False)) == "rest: every study: left alone"
