"""Scans with their features, kept in memory for all the fits of a run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.domain.features import EncoderInputSettings, FeatureVolume
from operators.encoder.features import Encoder
from operators.imaging.encoder_input import make_encoder_input
from trainer.datasets import Scan


@dataclass(frozen=True, slots=True, eq=False)
class EncodedScan:
    scan: Scan
    features: FeatureVolume

    @property
    def tokens(self) -> NDArray[np.float32]:
        """(S * N, D)"""
        return np.asarray(self.features.tokens.reshape(-1, self.features.tokens.shape[-1]))


def encode_scans(scans: Iterable[Scan], encoder: Encoder, settings: EncoderInputSettings) -> Iterator[EncodedScan]:
    for scan in scans:
        yield EncodedScan(scan, encoder.encode(make_encoder_input(scan.volume, settings)))


def without(scans: Iterable[EncodedScan], patients: frozenset[str]) -> list[EncodedScan]:
    return [encoded for encoded in scans if encoded.scan.patient not in patients]


def only(scans: Iterable[EncodedScan], patients: frozenset[str]) -> list[EncodedScan]:
    return [encoded for encoded in scans if encoded.scan.patient in patients]
