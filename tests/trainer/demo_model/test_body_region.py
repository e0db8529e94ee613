"""Who counts where body region is fitted and measured: truths worked out by hand on features of one number a region."""

import numpy as np
from numpy.typing import NDArray

from trainer.demo_model.body_region import MOST_SLICES, RegionScan, fit_body_region, measure_body_region
from trainer.demo_model.head_labels import REGIONS

NAMES = [label.name for label in REGIONS]
NUM_FEATURES = len(NAMES) + 1


def scan(patient: str, region: str, *, place: int | None = None, slices: int = 4) -> RegionScan:
    """Features that are 0 but at *place*, the region's number where none is told."""
    features: NDArray[np.float32] = np.zeros((slices, NUM_FEATURES), np.float32)
    features[:, NAMES.index(region) if place is None else place] = 5.0
    return RegionScan(patient, features, (region,) * slices)


def of_every_region() -> list[RegionScan]:
    return [scan(f"{region} {number}", region) for region in NAMES for number in range(2)]


def measured(scans: list[RegionScan], others: list[RegionScan]) -> dict[str, float | int | str]:
    linear = fit_body_region([*scans, *others])
    return measure_body_region(scans, others, linear, seed=0, tell=lambda message: None)


def test_further_fields_of_view_are_fitted_on_and_not_asked_about():
    others = [scan("someone else", "abdomen"), scan("someone else", "chest")]
    figures = measured(of_every_region(), others)
    assert figures["people_and_regions"] == 2 * len(NAMES)
    assert figures["accuracy"] == 1.0


def test_a_person_who_is_left_out_is_left_out_of_the_further_fields_of_view_too():
    strange = scan("alone", "abdomen", place=NUM_FEATURES - 1)  # like nobody else's abdomen
    figures = measured([*of_every_region(), strange], [strange] * 4)
    assert figures["abdomen_people"] == 3
    assert figures["abdomen_accuracy"] == round(2 / 3, 3)


def test_nobody_counts_by_more_slices_than_the_most():
    few = [scan("long", "chest", slices=MOST_SLICES), *of_every_region()]
    many = [scan("long", "chest", slices=50 * MOST_SLICES), *of_every_region()]
    assert np.allclose(fit_body_region(few).weight, fit_body_region(many).weight)
