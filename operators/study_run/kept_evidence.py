"""Where in a series the findings come from, kept for the study's page, which lays it over the slices."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter
from scipy.special import expit

from operators.dicom.volumes.source_series import SourceSeries
from operators.documents import write_whole
from operators.domain.finding import Finding
from operators.domain.reading import SeriesReading, StudyReading
from operators.domain.volume import Volume

FILE_NAME = "evidence.json"
FULL = 255


class EvidenceMap(BaseModel):
    """What spoke for a finding, on the grid of the encoder's tokens or of cells within them.

    kind : of the values: a probability before calibration; or what a token adds to the finding's score, as a share of
        what the strongest adds
    affine : row by row, takes homogeneous (slice, row, column) indices to LPS mm
    values : base64 of one byte for each place, slice by slice; 255 times the value, 0 for all below 0
    """

    model_config = ConfigDict(frozen=True)

    finding: str
    head: str
    series: str
    kind: Literal["probability", "contribution"]
    affine: tuple[tuple[float, float, float, float], ...]
    shape: tuple[int, int, int]
    values: str


_MAPS: TypeAdapter[tuple[EvidenceMap, ...]] = TypeAdapter(tuple[EvidenceMap, ...])


def keep_evidence(reading: StudyReading[SourceSeries], folder: Path) -> None:
    """Write the maps of today's series to ``evidence.json`` in *folder*."""
    maps = tuple(one for series in reading.current for one in _maps(series))
    write_whole(folder / FILE_NAME, _MAPS.dump_json(maps).decode())


def _maps(series: SeriesReading[SourceSeries]) -> Iterator[EvidenceMap]:
    for evidence in series.evidence:
        yield _map(evidence.finding, evidence.volume, "probability", expit(evidence.volume.array))
    for added in series.contributions:
        strongest = max(float(added.volume.array.max()), np.finfo(np.float32).tiny)
        yield _map(added.finding, added.volume, "contribution", added.volume.array / strongest)


def _map(
    finding: Finding, volume: Volume, kind: Literal["probability", "contribution"], values: NDArray[np.floating]
) -> EvidenceMap:
    bytes_ = np.rint(FULL * np.clip(values, 0, 1)).astype(np.uint8).tobytes()
    return EvidenceMap(
        finding=finding.name,
        head=finding.head,
        series=finding.series_instance_uid,
        kind=kind,
        affine=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in volume.geometry.affine),
        shape=volume.geometry.shape,
        values=base64.b64encode(bytes_).decode(),
    )
