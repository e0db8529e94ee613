"""Words for organs and findings, with the code that each stands for: what people type, and name regions by."""

from collections.abc import Iterator
from dataclasses import dataclass

from operators.domain.concepts import (
    ABNORMAL_STRUCTURE,
    ABNORMALITIES,
    ANATOMICAL_STRUCTURE,
    ORGANS,
    SEGMENTS,
    Code,
)

SYNONYMS = {
    "lung": ("lungs", "pulmonary"),
    "liver": ("hepatic",),
    "bone": ("bones", "skeleton"),
    "soft-tissue mass": ("mass", "soft tissue mass", "tumour", "tumor"),
    "heart": ("cardiac",),
    "aorta": ("aortic",),
    "trachea": ("windpipe",),
    "esophagus": (
        "oesophagus",
        "gullet",
    ),
    "thyroid": ("thyroid gland",),
    "kidney": (
        "kidneys",
        "renal",
    ),
    "spleen": ("splenic",),
    "pancreas": ("pancreatic",),
    "gallbladder": ("gall bladder",),
    "stomach": ("gastric",),
    "small intestine": ("small bowel",),
    "colon": ("large bowel",),
    "adrenal gland": (
        "adrenal",
        "suprarenal gland",
    ),
    "bladder": ("urinary bladder",),
    "prostate": ("prostate gland",),
    "brain": ("cerebral",),
    "lymph node": (
        "node",
        "lymph nodes",
    ),
    "nodule": (
        "nodules",
        "lung nodule",
    ),
    "lesion": ("lesions",),
    "cyst": ("cysts",),
    "hemorrhage": (
        "haemorrhage",
        "bleeding",
        "hematoma",
    ),
    "edema": ("oedema",),
    "effusion": (
        "fluid",
        "pleural effusion",
    ),
}


@dataclass(frozen=True, slots=True)
class Term:
    """A word that people use and its code. names : the usual one first"""

    code: Code
    category: Code
    names: tuple[str, ...]


def _terms() -> Iterator[Term]:
    for name, (category, code) in SEGMENTS.items():
        yield Term(code, category, (name, *SYNONYMS.get(name, ())))
    for codes, category in ((ORGANS, ANATOMICAL_STRUCTURE), (ABNORMALITIES, ABNORMAL_STRUCTURE)):
        for name, code in codes.items():
            yield Term(code, category, (name, *SYNONYMS.get(name, ())))


VOCABULARY = tuple(_terms())


def term_of(text: str) -> Term | None:
    """The term that a word names, in any case, or a code's value; None where it is none of these."""
    wanted = " ".join(text.casefold().split())
    return next((term for term in VOCABULARY if wanted in (*term.names, term.code.value)), None)
