"""All the open data, read once, and as one encoder sees them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from operators.domain.features import EncoderInputSettings
from trainer.demo_model.framings import other_framings
from trainer.demo_model.open_data import (
    make_phantoms,
    read_organ_scans,
    read_region_scans,
    read_sarcoma_scans,
    read_unseen_slices,
)
from trainer.features.encoded_scans import EncodedScan, SliceEncoder, encode_scans
from trainer.features.scans import Scan


@dataclass(frozen=True, slots=True)
class SourceData:
    """All the open data, read.

    regions : scans that only tell the body region, sparse
    framings : the organ scans in other framings
    unseen : never trained or fitted on
    """

    sarcomas: tuple[Scan, ...]
    organs: tuple[Scan, ...]
    framings: tuple[Scan, ...]
    regions: tuple[Scan, ...]
    unseen: tuple[Scan, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Everybody who is trained or fitted on, and the phantoms."""
        return tuple(sorted({scan.patient for scan in (*self.sarcomas, *self.organs, *self.regions)}))


@dataclass(frozen=True, slots=True)
class EncodedData:
    """The open data as one encoder sees them.

    sarcomas : whole of the patients that are to be judged, sparse of the others
    framed : the organ scans in all framings, their own included
    regions : everything that tells a body region, sparse
    """

    sarcomas: tuple[EncodedScan, ...]
    organs: tuple[EncodedScan, ...]
    framed: tuple[EncodedScan, ...]
    regions: tuple[EncodedScan, ...]


def read_source_data(data: Path, *, seed: int) -> SourceData:
    """Read everything that is trained, fitted or measured on; *seed* is the phantoms'."""
    organs = tuple(read_organ_scans(data))
    return SourceData(
        sarcomas=tuple(read_sarcoma_scans(data)),
        organs=organs,
        framings=tuple(framing for scan in organs for framing in other_framings(scan)),
        regions=tuple(scan.thinned(scan.sparse_step) for scan in (*read_region_scans(data), *make_phantoms(seed))),
        unseen=tuple(read_unseen_slices(data)),
    )


def encode_data(
    source: SourceData, encoder: SliceEncoder, settings: EncoderInputSettings, *, judged: frozenset[str]
) -> EncodedData:
    """Encode what the fits need; only the sarcoma scans of the patients *judged* are encoded whole."""

    def encoded(scans: Iterable[Scan]) -> Iterator[EncodedScan]:
        return encode_scans(scans, encoder, settings)

    shown = (scan if scan.patient in judged else scan.thinned(scan.sparse_step) for scan in source.sarcomas)
    sarcomas, organs = tuple(encoded(shown)), tuple(encoded(source.organs))
    return EncodedData(
        sarcomas=sarcomas,
        organs=organs,
        framed=(*organs, *encoded(source.framings)),
        regions=(*encoded(source.regions), *(scan.sparse() for scan in (*sarcomas, *organs))),
    )
