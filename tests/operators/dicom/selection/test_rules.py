import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from operators.dicom.selection.rules import DEFAULT_RULES, SiteRules, default_rules
from operators.dicom.selection.series_selection import select_series
from operators.dicom.study.study_index import StudyIndex
from phantoms import SAGITTAL
from series_cases import PLAIN, indexed, set_all

GUIDE = Path(__file__).parents[4] / "docs" / "series-selection.md"


def site(toml: str) -> SiteRules:
    return SiteRules.model_validate(tomllib.loads(toml).get("selection", {}))


def test_the_default_rules_are_a_file_of_the_same_form():
    rules = default_rules()
    assert [role.name for role in rules.roles] == ["CT volume", "MR volume"]
    assert {"a localiser", "axial"} <= rules.every.names
    assert len(tomllib.loads(DEFAULT_RULES.read_text())["every"]["excludes"]) == len(rules.every.excludes)


def test_without_a_site_the_default_rules_apply():
    assert SiteRules().applied() == default_rules()
    assert SiteRules().applied().digest == default_rules().digest


def test_a_site_can_exclude():
    rules = site("""
        [[selection.excludes]]
        name = "made by the old scanner"
        when = { keyword = "StationName", is = "CT1" }
    """).applied()
    (decision,) = select_series(StudyIndex((indexed(PLAIN, set_all(StationName="CT1")),), 0), rules)
    assert decision.reasons == ("made by the old scanner",)
    assert rules.digest != default_rules().digest


def test_a_site_can_require():
    rules = site("""
        [[selection.requires]]
        name = "contrast medium"
        when = { keyword = "ContrastBolusAgent", present = true }
    """).applied()
    (decision,) = select_series(StudyIndex((indexed(PLAIN),), 0), rules)
    assert decision.reasons == ("lacks: contrast medium",)


def test_a_site_can_replace_and_leave_out_default_rules():
    rules = site("""
        [selection]
        without = ["a localiser"]
        [[selection.prefers]]
        name = "axial"
        points = 7
        when = { property = "plane", is = "sagittal" }
    """).applied()
    localiser = indexed(PLAIN, set_all(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    (decision,) = select_series(StudyIndex((localiser,), 0), rules)
    assert decision.selected
    assert not any("axial" in reason for reason in decision.reasons)
    (axial,) = (rule for rule in rules.every.prefers if rule.name == "axial")
    assert axial.points == 7


def test_a_role_replaces_the_default_roles():
    rules = site("""
        [[selection.roles]]
        name = "sagittal CT"
        modality = "CT"
        min_slices = 1
        [[selection.roles.requires]]
        name = "sagittal"
        when = { property = "plane", is = "sagittal" }
    """).applied()
    sagittal = indexed(PLAIN.__class__(shape=(2, 4, 4), row_cosine=SAGITTAL[0], column_cosine=SAGITTAL[1]))
    decisions = select_series(StudyIndex((indexed(PLAIN), sagittal), 0), rules)
    assert [decision.role for decision in decisions] == ["sagittal CT", None]


WRONG = {
    'without = ["nothing"]': "without: expected names of default rules, got nothing",
    '[[selection.excludes]]\nname = "x"': "Field required",
    '[[selection.roles]]\nname = "x"\nmodality = "PT"': "'CT' or 'MR'",
    "points = 5": "Extra inputs are not permitted",
    '[[selection.prefers]]\nname = "x"\npoints = 1e9\nwhen = {keyword = "Rows", min = 1}': "less than or equal to 100",
}


@pytest.mark.parametrize(("toml", "message"), WRONG.items())
def test_wrong_rules_are_refused(toml: str, message: str):
    with pytest.raises(ValidationError, match=message):
        site(toml if toml.startswith("[") else f"[selection]\n{toml}")


def test_two_roles_of_one_name_are_refused():
    role = '[[selection.roles]]\nname = "x"\nmodality = "CT"\n'
    with pytest.raises(ValidationError, match="two roles have one name"):
        site(role + role).applied()


def examples() -> list[str]:
    return [part.split("```")[0] for part in GUIDE.read_text(encoding="utf-8").split("```toml\n")[1:]]


@pytest.mark.parametrize("toml", examples())
def test_the_guide_s_examples_are_valid_rules(toml: str):
    assert site(toml).applied().digest != default_rules().digest


def test_the_guide_names_every_default_rule():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    assert [name for name in sorted(default_rules().every.names) if name not in text] == []
