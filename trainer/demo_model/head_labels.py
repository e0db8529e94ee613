"""What the outputs of the embedded model's heads stand for."""

from operators.domain.concepts import BODY_REGIONS, FINDINGS, SEGMENTS
from operators.heads.labels import Label
from trainer.demo_model.open_data import ORGANS as ORGAN_NAMES


def structure(name: str) -> Label:
    """What is outlined, with its site where it is a finding."""
    category, code = SEGMENTS[name]
    site = FINDINGS[name][1] if name in FINDINGS else None
    return Label(name=name, code=code, category=category, site=site)


REGIONS = tuple(Label(name=name, code=code) for name, code in BODY_REGIONS.items())

ORGANS = tuple(map(structure, ORGAN_NAMES))
