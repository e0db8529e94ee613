"""Which series a head was trained on, and why it is not asked about others."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from operators.heads.records import Record

Modality = Literal["CT", "MR"]
Region = Literal["head", "chest", "abdomen", "extremity", "other"]


class Scope(Record):
    """What a head was trained on; outside of it, it is not asked.

    region_confidence : probability that the series shows one of *body_region*, from the body-region head
    """

    modality: tuple[Modality, ...] = Field(min_length=1)
    body_region: tuple[Region, ...] = ()
    region_confidence: float = Field(0.5, ge=0, le=1)


def out_of_scope(scope: Scope, *, modality: str, regions: Mapping[str, float]) -> str | None:
    """Why a head does not fit the series, in plain words; None where it fits.

    regions : probability of each body region, empty where no head tells
    """
    if modality not in scope.modality:
        return f"trained on {' and '.join(scope.modality)}, this series is {modality or 'of no named modality'}"
    if not scope.body_region:
        return None
    trained_on = " and ".join(scope.body_region)
    if not regions:
        return f"trained on {trained_on}, and no head tells the body region of this series"
    if sum(regions[name] for name in scope.body_region) >= scope.region_confidence:
        return None
    likeliest = max(regions, key=lambda name: regions[name])
    return f"trained on {trained_on}, this series looks like {likeliest} (probability {regions[likeliest]:.2f})"
