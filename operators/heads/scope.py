"""Which series a head was trained on, and why it is not asked about others."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from operators.domain.value_meaning import ValueMeaning
from operators.heads.records import Record

Modality = Literal["CT", "MR"]
Region = Literal["head", "chest", "abdomen", "extremity", "other"]
Contrast = Literal["with", "without"]
Input = Literal["cls", "mean-token"]


class Distance(Record):
    """How far from the training set's features a series may lie; the fit is in scope.safetensors.

    inputs : what the series' vector is made of
    limit : largest distance (see `operators.heads.distance`)
    percentile : of the training set that lies within it
    """

    inputs: tuple[Input, ...] = Field(min_length=1)
    limit: float = Field(gt=0)
    percentile: float = Field(gt=0, le=100)


class Scope(Record):
    """What a head was trained on; outside of it, it is not asked.

    values : what pixel values may mean; grey levels only where they are named
    region_confidence : probability that the series shows one of *body_region*, from the body-region head
    contrast : with a contrast agent, without one, or both; empty where it does not matter
    slices : fewest and most slices of a series
    """

    modality: tuple[Modality, ...] = Field(min_length=1)
    values: tuple[ValueMeaning, ...] = ("HU", "scanner units")
    body_region: tuple[Region, ...] = ()
    region_confidence: float = Field(0.5, ge=0, le=1)
    contrast: tuple[Contrast, ...] = ()
    slices: tuple[int, int] | None = None
    distance: Distance | None = None


def series_obstacle(
    scope: Scope, *, modality: str, values: ValueMeaning, num_slices: int, contrast: Contrast | None
) -> str | None:
    """Why a head does not fit a series by what its headers say, in plain words; None where it fits.

    contrast : None where the headers do not tell
    """
    if modality not in scope.modality:
        return f"trained on {' and '.join(scope.modality)}, this series is {modality or 'of no named modality'}"
    if values not in scope.values:
        return f"trained on {' and '.join(scope.values)}, the values of this series are {values}"
    if scope.contrast and contrast is None:
        return (
            f"trained on images {' and '.join(scope.contrast)} contrast, and the headers do not say what this series is"
        )
    if scope.contrast and contrast not in scope.contrast:
        return f"trained on images {' and '.join(scope.contrast)} contrast, this series is {contrast} it"
    if scope.slices and not scope.slices[0] <= num_slices <= scope.slices[1]:
        return f"trained on series of {scope.slices[0]} to {scope.slices[1]} slices, this one has {num_slices}"
    return None


def region_obstacle(scope: Scope, regions: Mapping[str, float]) -> str | None:
    """Why a head does not fit a series by what it shows.

    regions : probability of each body region, empty where no head tells
    """
    if not scope.body_region:
        return None
    trained_on = " and ".join(scope.body_region)
    if not regions:
        return f"trained on {trained_on}, and no head tells the body region of this series"
    if sum(regions[name] for name in scope.body_region) >= scope.region_confidence:
        return None
    likeliest = max(regions, key=lambda name: regions[name])
    return f"trained on {trained_on}, this series looks like {likeliest} (probability {regions[likeliest]:.2f})"
