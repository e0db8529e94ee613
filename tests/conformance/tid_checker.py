"""A judge of measurement reports for what validators do not see: template rows, value sets, units, meanings, links."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from pydicom import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from tid_templates import ANY_OF, ONE_OF, TABLES, Row, rows

UNITS = {
    # of measurements by name, as UCUM codes
    "122157 DCM": ("1", "%"),
    "122411 DCM": ("1", "%"),
    "118565006 SCT": ("mL", "ml", "cm3", "mm3"),
    "103339001 SCT": ("mm", "cm"),
    "103340004 SCT": ("mm", "cm"),
    "L0JK IBSI": ("mm", "cm"),
    "126401 DCM": ("{SUVbw}g/ml",),
    "126033 DCM": ("g",),
    "126037 DCM": ("g",),
    "126038 DCM": ("{SUVbw}g/ml",),
}
CHECKED_SCHEMES = ("DCM", "SCT", "LN", "IBSI", "UMLS", "NCIt")
"""UCUM is a grammar and not a list: its meanings are checked where the dictionary has them."""


@dataclass
class Check:
    """problems : one sentence each, empty for a good report
    matches : each content item with its parent and the row that takes it
    """

    problems: list[str] = field(default_factory=list)
    matches: list[tuple[Dataset, Dataset, Row]] = field(default_factory=list)


def check_report(report: Dataset, segmentations: Sequence[Dataset] | None = None) -> Check:
    """A measurement report, alone or with the SEG objects that were written with it."""
    check = Check()
    (root,) = rows("1500")
    _check_template(report, root, "root", check)
    _check_name(report, root, "root", check)
    _check_children(report, root, "root", check)
    check.problems += _dangling_references(report)
    if segmentations is not None:
        check.problems += _wrong_links(report, segmentations)
    return check


def code(item: Dataset) -> str:
    """``value scheme``, with SNOMED RT identifiers in the form of SNOMED CT."""
    value, scheme = item.get("CodeValue", ""), item.get("CodingSchemeDesignator", "")
    if scheme == "SRT" and value in mapping["SRT"]:
        value, scheme = mapping["SRT"][value], "SCT"
    return f"{value} {scheme}"


def name(item: Dataset) -> str:
    return code(item.ConceptNameCodeSequence[0]) if item.get("ConceptNameCodeSequence") else ""


def children(item: Dataset) -> Sequence[Dataset]:
    return item.get("ContentSequence") or ()


def descendants(item: Dataset) -> Iterator[Dataset]:
    for child in children(item):
        yield child
        yield from descendants(child)


def _check_children(item: Dataset, parent: Row, place: str, check: Check) -> None:
    counts: dict[Row, int] = {}
    for number, child in enumerate(children(item), start=1):
        here = f"{place}/{number}"
        row = _row_for(child, parent.children)
        if row is None:
            check.problems.append(f"{here}: {name(child) or 'nameless item'} is in no row below {parent}")
            continue
        counts[row] = counts.get(row, 0) + 1
        check.matches.append((child, item, row))
        _check_item(child, row, here, check)
        _check_children(child, row, here, check)
    missing = (row for row in parent.children if row.is_mandatory and row not in counts)
    check.problems += [f"{place}: {row} is missing" for row in missing]
    check.problems += [
        f"{place}: {row} stands {count} times, expected once"
        for row, count in counts.items()
        if count > 1 and not row.is_repeatable
    ]
    _check_conditions(item, parent, place, check)


def _row_for(item: Dataset, candidates: Sequence[Row]) -> Row | None:
    """The row of this name, the one that fits best where several have it; else one for any name."""
    named = [row for row in candidates if _row_code(row) == name(item) and name(item)]
    template = _template(item)
    named = [row for row in named if row.template == template] or named
    if named:
        return max(named, key=lambda row: (row.value_type == item.ValueType, row.relationship == item.RelationshipType))
    return next((row for row in candidates if row.name == "*" and row.value_type == item.ValueType), None)


def _row_code(row: Row) -> str:
    value, scheme, *_ = f"{row.name} ".split(" ")
    if scheme == "SRT" and value in mapping["SRT"]:
        return f"{mapping['SRT'][value]} SCT"
    return f"{value} {scheme}"


def _template(item: Dataset) -> str:
    return str(item.ContentTemplateSequence[0].TemplateIdentifier) if item.get("ContentTemplateSequence") else ""


def _check_item(item: Dataset, row: Row, place: str, check: Check) -> None:
    if item.RelationshipType != row.relationship:
        check.problems.append(f"{place}: {row}: relationship {item.RelationshipType}, expected {row.relationship}")
    if item.ValueType != row.value_type:
        check.problems.append(f"{place}: {row}: value type {item.ValueType}, expected {row.value_type}")
        return
    _check_template(item, row, place, check)
    _check_name(item, row, place, check)
    _check_value(item, row, place, check)


def _check_template(item: Dataset, row: Row, place: str, check: Check) -> None:
    if row.template and _template(item) != row.template:
        check.problems.append(f"{place}: {row}: template {_template(item) or 'none'}, expected {row.template}")


def _check_name(item: Dataset, row: Row, place: str, check: Check) -> None:
    if row.name.startswith("CID") and name(item) not in _context_group(row.name):
        check.problems.append(f"{place}: {row}: name {name(item)} is not in {row.name}")
    for concept in item.get("ConceptNameCodeSequence") or ():
        check.problems += _wrong_meaning(concept, place)


def _check_value(item: Dataset, row: Row, place: str, check: Check) -> None:
    if item.ValueType == "CODE":
        (concept,) = item.ConceptCodeSequence
        check.problems += _wrong_meaning(concept, place)
        if row.constraint and code(concept) not in _context_group(row.constraint):
            check.problems.append(f"{place}: {row}: {code(concept)} is not in {row.constraint}")
    if item.ValueType == "NUM":
        (measured,) = item.MeasuredValueSequence
        (unit,) = measured.MeasurementUnitsCodeSequence
        check.problems += _wrong_meaning(unit, place)
        expected = _units(item, row)
        if expected is None:
            check.problems.append(f"{place}: {row}: no unit is known for {name(item)}; add it to the table")
        elif expected and unit.CodeValue not in expected:
            check.problems.append(f"{place}: {name(item)} in {unit.CodeValue}, expected {' or '.join(expected)}")
    if item.ValueType in ("TEXT", "UIDREF") and not item.get("TextValue", item.get("UID")):
        check.problems.append(f"{place}: {row}: no value")


def _units(item: Dataset, row: Row) -> tuple[str, ...] | None:
    """None where the table should know the measurement; empty for the writer's own codes, which it cannot know."""
    fixed = row.constraint.removeprefix("UNITS").strip()
    if fixed:
        return (fixed,)
    return () if " 99" in name(item) else UNITS.get(name(item))


def _context_group(constraint: str) -> set[str]:
    group = cid_concepts[int(constraint.removeprefix("CID "))]
    return {f"{value} {scheme}" for scheme, keys in group.items() for key in keys for value in concepts[scheme][key]}


def _wrong_meaning(concept: Dataset, place: str) -> list[str]:
    scheme = concept.get("CodingSchemeDesignator")
    allowed = _dictionary().get(f"{concept.get('CodeValue')} {scheme}", set())
    if concept.CodeMeaning.lower() in allowed or (not allowed and scheme not in CHECKED_SCHEMES):
        return []
    return [f"{place}: {code(concept)} means {sorted(allowed) or 'nothing known'}, written as {concept.CodeMeaning!r}"]


@cache
def _dictionary() -> dict[str, set[str]]:
    """Meanings in lower case by code: the templates' own, and pydicom's with and without SNOMED CT's semantic tag."""
    names = (line.split("|")[2].split(maxsplit=2) for table in TABLES.values() for line in table.strip().splitlines())
    found = {f"{parts[0]} {parts[1]}": {parts[2].strip().lower()} for parts in names if len(parts) == 3}
    for scheme, entries in concepts.items():
        for values in entries.values():
            for value, (meaning, _) in values.items():
                found.setdefault(f"{value} {scheme}", set()).update({meaning.lower(), meaning.lower().split(" (")[0]})
    return found


def _check_conditions(item: Dataset, row: Row, place: str, check: Check) -> None:
    present = {name(child) for child in children(item)}
    alternatives = ONE_OF.get(row.template)
    if alternatives and len(present.intersection(alternatives)) != 1:
        check.problems.append(f"{place}: {row}: expected exactly one of {', '.join(alternatives)}")
    for conditions, needed in ANY_OF.get(row.template, ()):
        if (not conditions or present.intersection(conditions)) and not present.intersection(needed):
            check.problems.append(f"{place}: {row}: expected one of {', '.join(needed)}")


def _dangling_references(report: Dataset) -> Iterator[str]:
    """Every referenced instance must be listed as evidence (PS3.3 C.17.2.3)."""
    evidence = {
        item.ReferencedSOPInstanceUID: item.ReferencedSOPClassUID
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in report.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    for item in descendants(report):
        for reference in item.get("ReferencedSOPSequence", ()):
            uid = reference.ReferencedSOPInstanceUID
            if uid not in evidence:
                yield f"{name(item)}: instance {uid} is not among the evidence"
            elif evidence[uid] != reference.ReferencedSOPClassUID:
                yield f"{name(item)}: instance {uid} has another SOP class among the evidence"


def _wrong_links(report: Dataset, segmentations: Sequence[Dataset]) -> Iterator[str]:
    """Groups for segments and the segments themselves name one another by tracking identifier and UID."""
    segments = {item.TrackingUID: (dataset, item) for dataset in segmentations for item in dataset.SegmentSequence}
    groups = [item for item in descendants(report) if name(item) == "125007 DCM" and _template(item) == "1411"]
    told = set()
    for group in groups:
        parts = {name(child): child for child in children(group)}
        uid = parts["112040 DCM"].UID if "112040 DCM" in parts else ""
        if uid not in segments:
            yield f"group {uid or 'without tracking UID'}: no segment has this tracking UID"
            continue
        told.add(uid)
        dataset, segment = segments[uid]
        identifier = parts["112039 DCM"].get("TextValue") if "112039 DCM" in parts else None
        if identifier != segment.TrackingID:
            yield f"group {uid}: tracking identifier {identifier!r}, the segment's is {segment.TrackingID!r}"
        if "121191 DCM" in parts:
            yield from _wrong_segment(parts["121191 DCM"].ReferencedSOPSequence[0], dataset, segment)
    for uid in segments.keys() - told:
        yield f"segment {uid}: no group of the report has this tracking UID"


def _wrong_segment(reference: Dataset, dataset: Dataset, segment: Dataset) -> Iterator[str]:
    if reference.ReferencedSOPInstanceUID != dataset.SOPInstanceUID:
        yield f"referenced segment: instance {reference.ReferencedSOPInstanceUID} is not the segment's SEG"
        return
    number, numbers = reference.get("ReferencedSegmentNumber"), [item.SegmentNumber for item in dataset.SegmentSequence]
    if number not in numbers:
        yield f"referenced segment: number {number} does not exist, there are {numbers}"
    elif number != segment.SegmentNumber:
        yield f"referenced segment: number {number}, its group tracks {segment.SegmentNumber}"
