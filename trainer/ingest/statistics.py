"""What the shards hold, as counts that can be added up in any order."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from trainer.ingest.pseudonyms import Split
from trainer.pretraining.data.samples import SliceSample
from trainer.pretraining.views.content import find_content

Counts = Mapping[str, Mapping[str, int]]
"""Topic to value to how many."""

HU_STEP = 100
HU_RANGE = (-1100, 3100)
SAMPLED = 8
"""Every eighth row and column tells the values as well as all do."""


class ContentStatistics:
    """Counts of slices by what they are; of refusals by reason; of CT pixels by HU."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @property
    def counts(self) -> Counts:
        return {topic: dict(counter) for topic, counter in self._counts.items()}

    def refuse(self, reason: str) -> None:
        self._counts["refused"][reason] += 1

    def add_volume(self, split: Split) -> None:
        self._counts["volumes"][split] += 1

    def add_slice(self, sample: SliceSample, split: Split) -> None:
        height, width = sample.pixels.shape
        share = find_content(sample).share(0, 0, height, width)
        for topic, value in (
            ("slices", split),
            ("modality", sample.modality),
            ("values", sample.values),
            ("plane", sample.plane),
            ("region", sample.region or "unknown"),
            ("rows x columns", f"{height} x {width}"),
            ("row spacing (mm, rounded)", f"{sample.spacing_mm[0]:.1f}"),
            ("share with content (tenths, rounded down)", f"{int(share * 10) / 10:.1f}"),
        ):
            self._counts[topic][value] += 1
        if sample.values == "HU":
            self._add_values(sample)

    def _add_values(self, sample: SliceSample) -> None:
        low, high = HU_RANGE
        values = np.clip(sample.pixels[::SAMPLED, ::SAMPLED], low, high)
        steps, counts = np.unique(values // HU_STEP * HU_STEP, return_counts=True)
        for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
            self._counts["CT pixels by lower HU (sampled)"][str(step)] += count
