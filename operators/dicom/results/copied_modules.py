"""Which attributes results take over from their source, and what the standard asks of them (PS3.3 annex C)."""

from collections.abc import Mapping
from functools import cache

from highdicom._standard_utils import get_module_attribute_map

PATIENT_AND_STUDY = ("patient", "general-study", "patient-study")
TRIAL = ("clinical-trial-subject", "clinical-trial-study")
_OTHERS = ("specimen", "general-equipment", "frame-of-reference")
_ALONE = ("ContributingEquipmentSequence", "BodyPartExamined", "Laterality", "ImageLaterality")

Path = tuple[str, ...]
"""Keywords of the sequences round an attribute, the outermost first."""


@cache
def copied_keywords() -> tuple[str, ...]:
    """Keywords of the attributes at the root that results take over."""
    modules = (*PATIENT_AND_STUDY, *TRIAL, *_OTHERS)
    return tuple(dict.fromkeys([*(keyword for module in modules for keyword in root_types(module)), *_ALONE]))


@cache
def root_types(module: str) -> Mapping[str, str]:
    """Type (1, 1C, 2, 2C, 3) of each attribute of a module's root."""
    return {row["keyword"]: row["type"] for row in get_module_attribute_map()[module] if not row["path"]}


@cache
def keywords_of_type(kind: str, *modules: str) -> tuple[str, ...]:
    """The attributes of one type at the root of some modules."""
    return tuple(keyword for module in modules for keyword, found in root_types(module).items() if found == kind)


@cache
def required_in(path: Path) -> tuple[str, ...]:
    """Keywords of the type 1 attributes of an item."""
    return tuple(keyword for keyword, kind in _nested_types().get(path, {}).items() if kind == "1")


@cache
def _nested_types() -> Mapping[Path, Mapping[str, str]]:
    table: dict[Path, dict[str, str]] = {}
    for module in (*PATIENT_AND_STUDY, *TRIAL, *_OTHERS, "sop-common"):
        for row in get_module_attribute_map()[module]:
            if row["path"]:
                table.setdefault(tuple(row["path"]), {}).setdefault(row["keyword"], row["type"])
    return table
