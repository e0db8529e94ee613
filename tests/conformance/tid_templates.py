"""The templates of DICOM PS3.16 that a measurement report is made of, as tables like the standard's own.

Columns: nesting and relationship with the parent | value type | concept name | VM and requirement | constraint.
``M`` is mandatory, ``U`` is optional; conditional rows are ``U`` here, and their conditions stand in ``ONE_OF`` and
``ANY_OF``. A concept name of ``*`` is any; a constraint names a context group for a CODE and the unit for a NUM.
Written down from PS3.16 and compared row by row with the templates that PixelMed's DicomSRValidator (2022) carries;
rows that came later are marked.
"""

from dataclasses import dataclass, replace
from functools import cache

TABLES = {
    # A second procedure is an error to PixelMed.
    "1500": """
        | CONTAINER | CID 7021 | 1 M |
        > HAS CONCEPT MOD | INCLUDE | TID 1204 | 1 U |
        > HAS OBS CONTEXT | INCLUDE | TID 1001 | 1 M |
        > HAS CONCEPT MOD | CODE | 121058 DCM Procedure reported | 1 M | CID 100
        > CONTAINS | INCLUDE | TID 1600 | 1 U |
        > CONTAINS | CONTAINER | 126010 DCM Imaging Measurements | 1 U |
        >> CONTAINS | INCLUDE | TID 1410 | n U |
        >> CONTAINS | INCLUDE | TID 1411 | n U |
        >> CONTAINS | INCLUDE | TID 1501 | n U |
        > CONTAINS | CONTAINER | C0034375 UMLS Qualitative Evaluations | 1 U |
        >> CONTAINS | CODE | * | n U |
        >> CONTAINS | TEXT | * | n U |
    """,
    "1204": """
        | CODE | 121049 DCM Language of Content Item and Descendants | 1 M |
        > HAS CONCEPT MOD | CODE | 121046 DCM Country of Language | 1 U |
    """,
    "1001": """
        | CODE | 121005 DCM Observer Type | 1 U | CID 270
        | PNAME | 121008 DCM Person Observer Name | 1 U |
        | UIDREF | 121012 DCM Device Observer UID | 1 U |
        | TEXT | 121013 DCM Device Observer Name | 1 U |
        | TEXT | 121014 DCM Device Observer Manufacturer | 1 U |
        | TEXT | 121015 DCM Device Observer Model Name | 1 U |
        | TEXT | 121016 DCM Device Observer Serial Number | 1 U |
        | TEXT | 121017 DCM Device Observer Physical Location During Observation | 1 U |
        | CODE | 113876 DCM Device Role in Procedure | n U | CID 7445
    """,
    "1600": """
        | CONTAINER | 111028 DCM Image Library | 1 M |
        > CONTAINS | CONTAINER | 126200 DCM Image Library Group | n M |
        >> HAS ACQ CONTEXT | INCLUDE | TID 1602 | 1 U |
        >> CONTAINS | IMAGE | * | n M |
        >>> HAS ACQ CONTEXT | INCLUDE | TID 1602 | 1 U |
    """,
    "1602": """
        | CODE | 121139 DCM Modality | 1 U | CID 29
        | CODE | 123014 DCM Target Region | 1 U | CID 4031
        | CODE | 111027 DCM Image Laterality | 1 U | CID 244
        | DATE | 111060 DCM Study Date | 1 U |
        | TIME | 111061 DCM Study Time | 1 U |
        | DATE | 111018 DCM Content Date | 1 U |
        | TIME | 111019 DCM Content Time | 1 U |
        | DATE | 126201 DCM Acquisition Date | 1 U |
        | TIME | 126202 DCM Acquisition Time | 1 U |
        | UIDREF | 112227 DCM Frame of Reference UID | 1 U |
        | NUM | 110910 DCM Pixel Data Rows | 1 U | UNITS {pixels}
        | NUM | 110911 DCM Pixel Data Columns | 1 U | UNITS {pixels}
        | INCLUDE | TID 1604 | 1 U |
        | INCLUDE | TID 1607 | 1 U |
    """,
    "1604": """
        | NUM | 111026 DCM Horizontal Pixel Spacing | 1 U | UNITS mm
        | NUM | 111066 DCM Vertical Pixel Spacing | 1 U | UNITS mm
        | NUM | 112226 DCM Spacing between slices | 1 U | UNITS mm
        | NUM | 112225 DCM Slice Thickness | 1 U | UNITS mm
        | NUM | 110901 DCM Image Position (Patient) X | 1 U | UNITS mm
        | NUM | 110902 DCM Image Position (Patient) Y | 1 U | UNITS mm
        | NUM | 110903 DCM Image Position (Patient) Z | 1 U | UNITS mm
        | NUM | 110904 DCM Image Orientation (Patient) Row X | 1 U | UNITS {-1:1}
        | NUM | 110905 DCM Image Orientation (Patient) Row Y | 1 U | UNITS {-1:1}
        | NUM | 110906 DCM Image Orientation (Patient) Row Z | 1 U | UNITS {-1:1}
        | NUM | 110907 DCM Image Orientation (Patient) Column X | 1 U | UNITS {-1:1}
        | NUM | 110908 DCM Image Orientation (Patient) Column Y | 1 U | UNITS {-1:1}
        | NUM | 110909 DCM Image Orientation (Patient) Column Z | 1 U | UNITS {-1:1}
    """,
    # PET images; of its rows those that reports at hand use
    "1607": """
        | CODE | 89457008 SCT Radionuclide | 1 U |
        | CODE | F-61FDB SRT Radiopharmaceutical agent | 1 U |
    """,
    "1410": """
        | CONTAINER | 125007 DCM Measurement Group | 1 M |
        > | INCLUDE | TID GROUP | 1 M |
        > CONTAINS | CODE | 130400 DCM Geometric purpose of region | 1 U | CID 219
        > CONTAINS | SCOORD | 111030 DCM Image Region | 1 U |
        >> SELECTED FROM | IMAGE | * | 1 M |
        > CONTAINS | IMAGE | 121214 DCM Referenced Segmentation Frame | 1 U |
        > CONTAINS | IMAGE | 121233 DCM Source image for segmentation | 1 U |
        > CONTAINS | IMAGE | 121200 DCM Illustration of ROI | 1 U |
        > CONTAINS | CODE | * | n U |
    """,
    "1411": """
        | CONTAINER | 125007 DCM Measurement Group | 1 M |
        > | INCLUDE | TID GROUP | 1 M |
        > CONTAINS | CODE | 130400 DCM Geometric purpose of region | 1 U | CID 219
        > CONTAINS | SCOORD | 111030 DCM Image Region | n U |
        >> SELECTED FROM | IMAGE | * | 1 M |
        > CONTAINS | IMAGE | 121191 DCM Referenced Segment | 1 U |
        > CONTAINS | SCOORD3D | 121231 DCM Volume Surface | 1 U |
        > CONTAINS | IMAGE | 121233 DCM Source image for segmentation | n U |
        > CONTAINS | UIDREF | 121232 DCM Source series for segmentation | 1 U |
        > CONTAINS | IMAGE | 121200 DCM Illustration of ROI | n U |
        > CONTAINS | CODE | * | n U |
    """,
    "1501": """
        | CONTAINER | 125007 DCM Measurement Group | 1 M |
        > | INCLUDE | TID GROUP | 1 M |
        > CONTAINS | IMAGE | * | n U |
        > CONTAINS | SCOORD | * | n U |
        >> SELECTED FROM | IMAGE | * | 1 M |
        > CONTAINS | CODE | * | n U |
    """,
    # What the three groups have in common; TID 1419 and TID 1502 folded in. Finding category came after 2022.
    "GROUP": """
        HAS OBS CONTEXT | TEXT | C67447 NCIt Activity Session | 1 U |
        HAS OBS CONTEXT | TEXT | 112039 DCM Tracking Identifier | 1 M |
        HAS OBS CONTEXT | UIDREF | 112040 DCM Tracking Unique Identifier | 1 M |
        CONTAINS | CODE | 276214006 SCT Finding category | 1 U | CID 7150
        CONTAINS | CODE | 121071 DCM Finding | 1 U |
        HAS OBS CONTEXT | TEXT | C2348792 UMLS Time Point | 1 U |
        HAS OBS CONTEXT | CODE | 126072 DCM Time Point Type | n U |
        HAS OBS CONTEXT | NUM | 126073 DCM Time Point Order | 1 U | UNITS 1
        HAS CONCEPT MOD | CODE | 370129005 SCT Measurement Method | 1 U |
        | INCLUDE | TID SITE | 1 U |
        CONTAINS | COMPOSITE | 126100 DCM Real World Value Map used for measurement | 1 U |
        HAS CONCEPT MOD | INCLUDE | TID 4019 | 1 U |
        CONTAINS | INCLUDE | TID 300 | n U |
    """,
    "SITE": """
        HAS CONCEPT MOD | CODE | 363698007 SCT Finding Site | n U |
        > HAS CONCEPT MOD | CODE | 272741003 SCT Laterality | 1 U | CID 244
        > HAS CONCEPT MOD | CODE | 106233006 SCT Topographical modifier | 1 U |
    """,
    # Algorithm Manufacturer came after 2022.
    "4019": """
        | TEXT | 111001 DCM Algorithm Name | 1 U |
        | TEXT | 111003 DCM Algorithm Version | 1 U |
        | TEXT | 122405 DCM Algorithm Manufacturer | 1 U |
        | TEXT | 111002 DCM Algorithm Parameters | n U |
        | CODE | 111000 DCM Algorithm Family | 1 U |
    """,
    "300": """
        | NUM | * | n U | UNITS
        > HAS CONCEPT MOD | CODE | 370129005 SCT Measurement Method | 1 U |
        > HAS CONCEPT MOD | CODE | 121401 DCM Derivation | 1 U |
        > | INCLUDE | TID SITE | 1 U |
        > INFERRED FROM | IMAGE | * | n U |
        > INFERRED FROM | SCOORD | * | n U |
        >> SELECTED FROM | IMAGE | * | 1 M |
        > INFERRED FROM | SCOORD3D | * | n U |
        > INFERRED FROM | COMPOSITE | 126100 DCM Real World Value Map used for measurement | 1 U |
        > HAS CONCEPT MOD | INCLUDE | TID 4019 | 1 U |
    """,
}

ONE_OF = {
    # exactly one kind of place
    "1410": ("111030 DCM", "121214 DCM"),
    "1411": ("111030 DCM", "121191 DCM", "121231 DCM"),
}
_ALGORITHM = (
    # TID 4019: a name has a version, and nothing stands without a name
    (("111001 DCM",), ("111003 DCM",)),
    (("111003 DCM", "122405 DCM", "111002 DCM", "111000 DCM"), ("111001 DCM",)),
)
ANY_OF = {
    # where one of the first stands (always, when there are none), one of the second must
    "1500": (
        ((), ("126010 DCM", "126011 DCM", "C0034375 UMLS")),
        ((), ("121008 DCM", "121012 DCM")),  # TID 1003 row 1 or TID 1004 row 1
    ),
    "1410": ((("121214 DCM",), ("121233 DCM",)), *_ALGORITHM),
    "1411": ((("121191 DCM", "121231 DCM"), ("121233 DCM", "121232 DCM")), *_ALGORITHM),
    "1501": _ALGORITHM,
}


@dataclass(frozen=True, eq=False)
class Row:
    """One row with the rows below it; ``template`` is set on the container that a template starts with."""

    tid: str
    relationship: str
    value_type: str
    name: str
    is_repeatable: bool
    is_mandatory: bool
    constraint: str
    children: tuple["Row", ...] = ()
    template: str = ""

    def __str__(self) -> str:
        return f"TID {self.tid} {' '.join(filter(None, [self.relationship, self.value_type, self.name]))}"


@cache
def rows(tid: str) -> tuple[Row, ...]:
    """The template's rows, with every included template in its place."""
    lines = [line.strip() for line in TABLES[tid].strip().splitlines()]
    return _below(tid, [(len(line) - len(line.lstrip(">")), line.lstrip("> ")) for line in lines])


def _below(tid: str, lines: list[tuple[int, str]]) -> tuple[Row, ...]:
    found: list[Row] = []
    while lines:
        depth, line = lines.pop(0)
        nested = []
        while lines and lines[0][0] > depth:
            nested.append(lines.pop(0))
        cells = [cell.strip() for cell in line.split("|")]
        relationship, value_type, name, times, constraint = cells
        many, requirement = times.split()
        if value_type == "INCLUDE":
            found += _included(name.removeprefix("TID "), relationship, many == "n")
        else:
            children = _below(tid, nested)
            row = Row(tid, relationship, value_type, name, many == "n", requirement == "M", constraint, children)
            found.append(replace(row, template=tid) if value_type == "CONTAINER" and not depth else row)
    return tuple(found)


def _included(tid: str, relationship: str, is_repeatable: bool) -> list[Row]:
    return [
        replace(
            row,
            relationship=row.relationship or relationship,
            is_repeatable=row.is_repeatable or (is_repeatable and row.value_type == "CONTAINER"),
            is_mandatory=row.is_mandatory and not (is_repeatable and row.value_type == "CONTAINER"),
        )
        for row in rows(tid)
    ]
