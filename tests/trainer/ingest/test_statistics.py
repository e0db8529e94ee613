from dataclasses import replace

import numpy as np

from slice_cases import body_slice, make_sample
from trainer.ingest.statistics import SAMPLED, ContentStatistics


def test_slices_are_counted_by_what_they_are() -> None:
    statistics = ContentStatistics()
    for sample in (body_slice(), replace(body_slice(), modality="MR", region="head", spacing_mm=(0.449, 1.0))):
        statistics.add_slice(sample, "train")
    statistics.add_volume("train")
    statistics.refuse("broken")
    statistics.refuse("broken")

    counts = statistics.counts
    assert counts["slices"] == {"train": 2}
    assert counts["modality"] == {"CT": 1, "MR": 1}
    assert counts["region"] == {"unknown": 1, "head": 1}
    assert counts["rows x columns"] == {"128 x 128": 2}
    assert counts["row spacing (mm, rounded)"] == {"1.0": 1, "0.4": 1}
    # The body is an ellipse of pi 40^2 pixels, 31 % of the slice.
    assert counts["share with content (tenths, rounded down)"] == {"0.3": 2}
    assert counts["refused"] == {"broken": 2}


def test_the_histogram_tells_hounsfield_units_and_leaves_mr_out() -> None:
    statistics = ContentStatistics()
    pixels = np.full((16, 16), -1000)
    pixels[::SAMPLED, 0] = (39, 9000)
    statistics.add_slice(make_sample(pixels), "train")
    statistics.add_slice(make_sample(pixels, modality="MR"), "train")

    assert statistics.counts["CT pixels by lower HU (sampled)"] == {"-1000": 2, "0": 1, "3100": 1}
