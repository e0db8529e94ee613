"""Figures that others published, shown beside ours and marked as such; none of them was run again here.

Source: Raidium's article on Curia-2 (its tables of the 2D, the 3D and the finding track, in percent).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.benchmark.task import Track


@dataclass(frozen=True, slots=True)
class Published:
    """A model's mean over a track's tasks, in percent."""

    model: str
    value: float


PUBLISHED: Mapping[Track, Sequence[Published]] = {
    "2d": (
        Published("Curia-2 L", 88.5),
        Published("Curia-2 B", 86.8),
        Published("Curia L", 87.9),
        Published("Curia B", 86.2),
        Published("MedImageInsight", 84.4),
        Published("MedGemma", 80.1),
        Published("BiomedCLIP", 79.1),
    ),
    "3d": (
        Published("Curia-2 g", 88.7),
        Published("Curia-2 L", 88.6),
        Published("Curia L", 83.4),
        Published("MedImageInsight", 83.6),
        Published("MedGemma", 81.8),
        Published("Merlin", 65.4),
        Published("CT-CLIP", 51.5),
    ),
    "findings": (
        Published("Pillar-0", 82.4),
        Published("Merlin", 81.2),
        Published("Curia-2 B", 80.2),
        Published("Curia-2 L", 79.7),
        Published("Curia L", 79.2),
        Published("MedImageInsight", 79.0),
        Published("BiomedCLIP", 74.1),
        Published("MedGemma", 72.7),
    ),
}
