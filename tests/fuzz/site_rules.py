"""Site rules of any sense or nonsense, as a TOML file would give them."""

import random
from typing import Any

_KEYWORDS = (
    "ImageType", "SeriesDescription", "ConvolutionKernel", "SliceThickness", "Rows", "PixelSpacing", "EchoTime",
    "ImagePositionPatient", "PatientID", "PixelData", "PerFrameFunctionalGroupsSequence", "AcquisitionDateTime",
    "SpecificCharacterSet", "NoSuchKeyword",
)  # fmt: skip
_PROPERTIES = ("num_slices", "extent_mm", "slice_spacing_mm", "plane", "b_value", "no_such_property")
_VALUES = ("CT", "", "axial", "ORIGINAL", 0, -1.5, 1e308, 4)
_PATTERNS = ("a", ".", "^(ORIGINAL|DERIVED)$", r"\d+", "[", "(a+)+b", "(?i)x{2,}", ".*.*.*", "\\", "é")
_NUMBERS = (-1e9, 0.0, 0.5, 3.0, 40.0, 1e9, float("nan"))


def random_site_rules(chance: random.Random) -> dict[str, Any]:
    """The table ``selection``; about half of these are refused when they are read."""
    rules: dict[str, Any] = {
        kind: [_rule(kind, chance) for _ in range(chance.randint(0, 2))] for kind in ("requires", "excludes", "prefers")
    }
    if chance.random() < 0.5:
        rules["roles"] = [_role(number, chance) for number in range(chance.randint(1, 3))]
    if chance.random() < 0.2:
        rules["without"] = [chance.choice(("a localiser", "axial", "no such rule"))]
    return rules


def _role(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "name": f"role {number}",
        "modality": chance.choice(("CT", "MR")),
        "min_slices": chance.choice((1, 1, 2, 3, 1000)),
        "requires": [_rule("requires", chance) for _ in range(chance.randint(0, 1))],
    }


def _rule(kind: str, chance: random.Random) -> dict[str, Any]:
    points = {"points": chance.choice((-3, -0.1, 0, 2, 100))} if kind == "prefers" else {}
    return {"name": f"rule {chance.randrange(4)}", "when": _condition(chance, 0)} | points


def _condition(chance: random.Random, depth: int) -> dict[str, Any]:
    kind = chance.choice(("keyword", "keyword", "property", "all", "any", "not"))
    if depth < 3 and kind in ("all", "any"):
        return {kind: [_condition(chance, depth + 1) for _ in range(chance.randint(1, 3))]}
    if depth < 3 and kind == "not":
        return {"not": _condition(chance, depth + 1)}
    asked = (
        {"property": _usually(_PROPERTIES, chance)} if kind == "property" else {"keyword": _usually(_KEYWORDS, chance)}
    )
    return asked | _test(chance)


def _usually(names: tuple[str, ...], chance: random.Random) -> str:
    """The last one does not exist and is rare."""
    return chance.choice(names[:-1]) if chance.random() < 0.95 else names[-1]


def _test(chance: random.Random) -> dict[str, Any]:
    part = chance.choice(("is", "one_of", "matches", "min", "max", "present"))
    values: dict[str, Any] = {
        "is": chance.choice(_VALUES),
        "one_of": [chance.choice(_VALUES) for _ in range(2)],
        "matches": chance.choice(_PATTERNS),
        "min": chance.choice(_NUMBERS),
        "max": chance.choice(_NUMBERS),
        "present": chance.random() < 0.5,
    }
    return {part: values[part]}
