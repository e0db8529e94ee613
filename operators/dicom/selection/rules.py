"""What the selection of series goes by: rules for every series and roles for heads, read from TOML.

`series_selection.toml` beside this module holds the default rules in the same form; a site's settings add to them.
"""

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from operators.dicom.selection.conditions import Condition, RuleTable

DEFAULT_RULES = Path(__file__).with_name("series_selection.toml")


class Rule(RuleTable):
    """A condition with a name.

    name : in plain words, for the reasons that people read
    """

    name: str = Field(min_length=1, max_length=120)
    when: Condition


class Requirement(Rule):
    """A volume is used only if each of its slices has this."""


class Exclusion(Rule):
    """A volume is not used if any of its slices has this."""


class Preference(Rule):
    """A volume scores *points* more if each slice has this; less, when they are negative, if any slice has.

    about : "body-region" for words that hint at a region; they fall silent where the encoder has judged it
    """

    points: float = Field(ge=-100, le=100)
    about: Literal["body-region"] | None = None


class RuleSet(RuleTable):
    requires: tuple[Requirement, ...] = ()
    excludes: tuple[Exclusion, ...] = ()
    prefers: tuple[Preference, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(rule.name for rule in (*self.requires, *self.excludes, *self.prefers))

    def leaving_out(self, names: frozenset[str]) -> "RuleSet":
        return RuleSet(
            requires=tuple(rule for rule in self.requires if rule.name not in names),
            excludes=tuple(rule for rule in self.excludes if rule.name not in names),
            prefers=tuple(rule for rule in self.prefers if rule.name not in names),
        )

    def joined_with(self, other: "RuleSet") -> "RuleSet":
        return RuleSet(
            requires=(*self.requires, *other.requires),
            excludes=(*self.excludes, *other.excludes),
            prefers=(*self.prefers, *other.prefers),
        )


class Role(RuleSet):
    """What a head can work with; the best volume for each role is read.

    body_region : the region of the encoder's body-region head that must be seen, where that head is at hand
    """

    name: str = Field(min_length=1, max_length=60)
    modality: Literal["CT", "MR"]
    min_slices: int = Field(3, ge=1)
    body_region: str | None = None


class SelectionRules(RuleTable):
    """Rules for every series, and the roles in order."""

    every: RuleSet
    roles: tuple[Role, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Self:
        names = [role.name for role in self.roles]
        if len(set(names)) < len(names):
            raise ValueError("two roles have one name")
        return self

    @property
    def digest(self) -> str:
        """Changes with every rule."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()


class SiteRules(RuleSet):
    """The table ``selection`` of a site's settings.

    requires, excludes, prefers : added to the default rules; one with the name of a default rule takes its place
    without : default rules to leave out, by name
    roles : instead of the default roles
    """

    without: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()

    @model_validator(mode="after")
    def _without_known(self) -> Self:
        unknown = set(self.without) - default_rules().every.names
        if unknown:
            raise ValueError(f"without: expected names of default rules, got {', '.join(sorted(unknown))}")
        return self

    def applied(self) -> SelectionRules:
        """The default rules with the site's."""
        default = default_rules()
        kept = default.every.leaving_out(self.names | frozenset(self.without))
        return SelectionRules(every=kept.joined_with(self), roles=self.roles or default.roles)


@cache
def default_rules() -> SelectionRules:
    return SelectionRules.model_validate(tomllib.loads(DEFAULT_RULES.read_text(encoding="utf-8")))
