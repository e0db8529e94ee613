"""Where findings come from, as the pipeline leaves it beside the features of a run. A contract test holds both ends."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

FILE_NAME = "evidence.json"


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


def read_evidence(folder: Path) -> tuple[EvidenceMap, ...]:
    """The maps in a folder of kept features; empty where its version of the pipeline left none."""
    try:
        return _MAPS.validate_json((folder / FILE_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return ()
