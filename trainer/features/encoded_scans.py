"""Scans with their features, kept in memory for all the fits of a run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import EncoderInput, EncoderInputSettings, FeatureVolume
from operators.imaging.encoder_input import make_encoder_input
from trainer.features.scans import Scan


class SliceEncoder(Protocol):
    """An encoder, or what is compared with one."""

    def encode(self, encoder_input: EncoderInput) -> FeatureVolume: ...


@dataclass(frozen=True, slots=True, eq=False)
class EncodedScan:
    scan: Scan
    features: FeatureVolume

    @property
    def tokens(self) -> NDArray[np.float32]:
        """All tokens of the scan, of shape (S * N, D)."""
        return np.asarray(self.features.tokens.reshape(-1, self.features.tokens.shape[-1]))

    def sparse(self) -> "EncodedScan":
        """What is fitted on; of a sparse scan all that there is."""
        return self.thinned(self.scan.sparse_step)

    def thinned(self, step: int) -> "EncodedScan":
        """Every *step*-th slice, as if the others had not been encoded."""
        scan, features = self.scan.thinned(step), self.features
        grid = features.geometry.strided((step, 1, 1))
        return EncodedScan(scan, FeatureVolume(features.cls[::step], features.tokens[::step], grid))


def encode_scans(scans: Iterable[Scan], encoder: SliceEncoder, settings: EncoderInputSettings) -> Iterator[EncodedScan]:
    for scan in scans:
        yield EncodedScan(scan, encoder.encode(make_encoder_input(scan.volume, settings)))


def without(scans: Iterable[EncodedScan], patients: frozenset[str]) -> list[EncodedScan]:
    return [encoded for encoded in scans if encoded.scan.patient not in patients]


def only(scans: Iterable[EncodedScan], patients: frozenset[str]) -> list[EncodedScan]:
    return [encoded for encoded in scans if encoded.scan.patient in patients]
