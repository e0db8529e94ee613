"""Which body region a series shows, asked of the encoder before the series is chosen.

Header words about the region are hints that anybody may have typed; a few slices through the encoder and its
body-region head are not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from operators.dicom.selection.rules import SelectionRules
from operators.dicom.selection.series_selection import SeriesDecision, with_body_regions
from operators.dicom.study.read_limits import ReadLimits
from operators.dicom.volumes.slices import Slice, VolumeCandidate
from operators.dicom.volumes.volume_reader import read_volume
from operators.domain.features import EncoderInputSettings
from operators.encoder.features import Encoder
from operators.errors import InputError
from operators.heads.head import Head, SeriesFeatures, ask
from operators.imaging.array_module import ArrayModule
from operators.imaging.encoder_input import make_encoder_input

NUM_SLICES = 5
"""Neighbours in the middle of a volume; the head averages over them."""


@dataclass(frozen=True, slots=True, eq=False)
class RegionProbe:
    """The encoder with what it needs to look at a few slices."""

    head: Head
    encoder: Encoder
    settings: EncoderInputSettings
    array_module: ArrayModule
    limits: ReadLimits

    def probabilities(self, candidate: VolumeCandidate) -> dict[str, float]:
        """Probability of each body region, from the middle slices."""
        source = read_volume(middle_slices(candidate), role="body region", limits=self.limits)
        encoder_input = make_encoder_input(source.volume, self.settings, self.array_module)
        series = SeriesFeatures(
            self.encoder.encode(encoder_input, blocks=self.head.needs.blocks),
            source.volume.geometry,
            source.modality,
            source.series_instance_uid,
            self.encoder.devices[0],
        )
        (answer,) = ask([self.head], series)
        return dict(answer.regions)

    def look(self, decisions: Iterable[SeriesDecision], rules: SelectionRules) -> dict[str, dict[str, float]]:
        """Probabilities by Series Instance UID, for the series that fit a role which names a body region.

        A series whose slices cannot be read is left to what its header says; reading it whole will say why.
        """
        asking = {role.name for role in rules.roles if role.body_region}
        seen: dict[str, dict[str, float]] = {}
        for decision in decisions:
            fitting = [verdict for verdict in decision.verdicts if verdict.fits and verdict.role in asking]
            if fitting:
                try:
                    seen[decision.series.series_instance_uid] = self.probabilities(fitting[0].volume)
                except InputError:
                    continue
        return seen


def look_again(
    decisions: tuple[SeriesDecision, ...], rules: SelectionRules, probe: RegionProbe | None
) -> tuple[SeriesDecision, ...]:
    """The decisions with what the encoder sees; unchanged without a body-region head or a role that asks."""
    seen = probe.look(decisions, rules) if probe else {}
    return with_body_regions(decisions, seen, rules) if seen else decisions


def middle_slices(candidate: VolumeCandidate) -> VolumeCandidate:
    """The few slices in the middle of the volume along its normal."""
    row, column = np.array(candidate.slices[0].header.ImageOrientationPatient, np.float64).reshape(2, 3)
    normal = np.cross(row, column)

    def place(plane: Slice) -> float:
        return float(np.array(plane.header.ImagePositionPatient, np.float64) @ normal)

    ordered = sorted(candidate.slices, key=place)
    start = max(0, (len(ordered) - NUM_SLICES) // 2)
    return VolumeCandidate(
        candidate.series_instance_uid, candidate.modality, tuple(ordered[start : start + NUM_SLICES]), candidate.label
    )
