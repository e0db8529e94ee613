"""What the outputs of the embedded model's heads stand for."""

from operators.domain.concepts import ABNORMAL_STRUCTURE, ANATOMICAL_STRUCTURE, BODY_REGIONS, FINDINGS, SEGMENTS
from operators.heads.labels import Label

REGIONS = tuple(Label(name=name, code=code) for name, code in BODY_REGIONS.items())

ORGANS = tuple(
    Label(name=name, code=type_, category=category)
    for name, (category, type_) in SEGMENTS.items()
    if category == ANATOMICAL_STRUCTURE
)

_MASS, _SOFT_TISSUE = FINDINGS["soft-tissue mass"]
MASS = Label(name="soft-tissue mass", code=_MASS, category=ABNORMAL_STRUCTURE, site=_SOFT_TISSUE)
