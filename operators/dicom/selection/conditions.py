"""Conditions on headers, as typed objects that a TOML file can hold; checked when they are read, free of side effects.

{ keyword = "ImageType", is = "LOCALIZER" }
{ keyword = "SliceThickness", min = 0.5, max = 3.0 }
{ property = "plane", one_of = ["axial", "oblique"] }
{ all = [ {...}, { not = {...} }, { any = [ {...}, {...} ] } ] }
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword

MAX_PATTERN_LENGTH = 200
MAX_MATCHED_LENGTH = 64
"""A pattern sees this much of a value, the length of a DICOM long string; longer values are cut."""

_REPEATED_REPETITION = re.compile(r"\((?:[^()\\]|\\.)*(?:[*+|]|\{\d+,\d*\})(?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,)")
"""(a+)+, (a|b)* and the like: matching time can double with each letter of the value."""

Row = Mapping[str, tuple[str, ...]]
"""What one slice has for each keyword and property that a condition asks about."""

PropertyName = Literal["num_slices", "extent_mm", "slice_spacing_mm", "plane", "b_value"]


_BYTES = {"OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW", "US or OW", "US or SS or OW"}


def is_sequence(keyword: str) -> bool:
    """Whether the attribute has no value of its own but items."""
    return dictionary_VR(keyword) == "SQ"


class RuleTable(BaseModel):
    """A frozen table of the rules' file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueTest(RuleTable):
    """What a value must be; with several values in a slice, one that passes every part is enough.

    is : equal, case and padding aside
    one_of : equal to one of these
    matches : a regular expression that is found in the value, case aside
    min, max : a number in this range, ends included
    present : whether there is a value at all
    """

    is_: str | float | None = Field(None, alias="is")
    one_of: tuple[str | float, ...] | None = Field(None, min_length=1)
    matches: str | None = Field(None, min_length=1, max_length=MAX_PATTERN_LENGTH)
    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)
    present: bool | None = None

    @field_validator("matches")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if _REPEATED_REPETITION.search(pattern):
            raise ValueError("a repeated group must hold no repetition and no alternatives, it could match forever")
        return pattern

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        parts = (self.is_, self.one_of, self.matches, self.min, self.max, self.present)
        if all(part is None for part in parts):
            raise ValueError("needs one of: is, one_of, matches, min, max, present")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}, nothing lies between")
        if self.present is False and any(part is not None for part in parts[:-1]):
            raise ValueError("present = false leaves no value for the other parts to test")
        return self

    def passes(self, found: tuple[str, ...]) -> bool:
        if self.present is False:
            return not found
        return any(self._passes_one(one) for one in found)

    def _passes_one(self, found: str) -> bool:
        if self.is_ is not None and not _equal(found, self.is_):
            return False
        if self.one_of is not None and not any(_equal(found, wanted) for wanted in self.one_of):
            return False
        if self.matches is not None and not re.search(self.matches, found[:MAX_MATCHED_LENGTH], re.IGNORECASE):
            return False
        return self._is_in_range(found)

    def _is_in_range(self, found: str) -> bool:
        if self.min is None and self.max is None:
            return True
        size = _as_number(found)
        return size is not None and (self.min is None or size >= self.min) and (self.max is None or size <= self.max)


class KeywordTest(ValueTest):
    """A test of a DICOM attribute, named by its keyword."""

    keyword: str

    @field_validator("keyword")
    @classmethod
    def _is_keyword(cls, keyword: str) -> str:
        if tag_for_keyword(keyword) is None:
            raise ValueError(f"{keyword} is no DICOM keyword{_suggestion(keyword)}")
        if dictionary_VR(keyword) in _BYTES:
            raise ValueError(f"{keyword} holds bytes, which no rule can test")
        return keyword

    @model_validator(mode="after")
    def _asks_sequences_for_presence(self) -> Self:
        if is_sequence(self.keyword) and self.model_fields_set - {"keyword", "present"}:
            raise ValueError(f"{self.keyword} is a sequence; present is all that can be asked")
        return self

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({self.keyword})

    def holds(self, row: Row) -> bool:
        return self.passes(row[self.keyword])


class PropertyTest(ValueTest):
    """A test of what was worked out about the volume, see `operators.dicom.selection.volume_facts`."""

    property_: PropertyName = Field(alias="property")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({self.property_})

    def holds(self, row: Row) -> bool:
        return self.passes(row[self.property_])


class AllOf(RuleTable):
    all: tuple["Condition", ...] = Field(min_length=1)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(part.columns for part in self.all))

    def holds(self, row: Row) -> bool:
        return all(part.holds(row) for part in self.all)


class AnyOf(RuleTable):
    any: tuple["Condition", ...] = Field(min_length=1)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(part.columns for part in self.any))

    def holds(self, row: Row) -> bool:
        return any(part.holds(row) for part in self.any)


class Not(RuleTable):
    not_: "Condition" = Field(alias="not")

    @property
    def columns(self) -> frozenset[str]:
        return self.not_.columns

    def holds(self, row: Row) -> bool:
        return not self.not_.holds(row)


_KINDS: dict[type, str] = {KeywordTest: "keyword", PropertyTest: "property", AllOf: "all", AnyOf: "any", Not: "not"}


def _kind(table: Any) -> str | None:
    if isinstance(table, dict):
        kinds = table.keys() & set(_KINDS.values())
        return kinds.pop() if len(kinds) == 1 else None
    return _KINDS.get(type(table))


Condition = Annotated[
    Annotated[KeywordTest, Tag("keyword")]
    | Annotated[PropertyTest, Tag("property")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(
        _kind,
        custom_error_type="condition",
        custom_error_message="a condition needs exactly one of: keyword, property, all, any, not",
    ),
]
"""One test, or several joined; ``columns`` says what it asks about and ``holds`` answers for one slice."""


def _equal(found: str, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        return found.strip().casefold() == wanted.strip().casefold()
    return _as_number(found) == wanted


def _as_number(found: str) -> float | None:
    try:
        return float(found)
    except ValueError:
        return None


def _suggestion(keyword: str) -> str:
    near = get_close_matches(keyword, keyword_dict, n=1)
    return f", did you mean {near[0]}?" if near else ""
