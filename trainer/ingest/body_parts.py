"""The body region that a header names, in a vocabulary of our own: a header's free words never reach a shard."""

from pydicom import Dataset

from operators.dicom.study.header_values import text_of

_REGIONS = {
    "head": ("HEAD", "BRAIN", "SKULL", "ORBIT", "FACE", "SINUS", "JAW", "PITUITARY"),
    "neck": ("NECK", "CSPINE", "THYROID", "LARYNX"),
    "chest": ("CHEST", "THORAX", "LUNG", "HEART", "BREAST", "TSPINE", "MEDIASTINUM"),
    "abdomen": ("ABDOMEN", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN", "LSPINE", "ABDOMENPELVIS"),
    "pelvis": ("PELVIS", "PROSTATE", "BLADDER", "UTERUS", "HIP", "RECTUM", "SSPINE"),
    "extremity": (
        "EXTREMITY", "ARM", "LEG", "KNEE", "FOOT", "ANKLE", "HAND", "WRIST", "ELBOW", "SHOULDER", "THIGH", "CALF",
    ),
    "whole body": ("WHOLEBODY",),
}  # fmt: skip
"""Terms of Body Part Examined (PS3.16 annex L) by region, without spaces and underscores."""

_BY_TERM = {term: region for region, terms in _REGIONS.items() for term in terms}


def body_region(header: Dataset) -> str | None:
    """The region that Body Part Examined names; None where it is missing or is none of the standard's terms."""
    term = text_of(header, "BodyPartExamined").upper().replace(" ", "").replace("_", "")
    return _BY_TERM.get(term)
