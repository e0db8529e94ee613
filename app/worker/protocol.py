"""What a worker says and is told, one JSON object a line; fields that are not named here are ignored.

On standard output it greets or refuses once, then answers every request read from standard input with one reply. The
end of standard input ends it. ``orthanc_plugin.pipeline.protocol`` is the other end; a contract test holds the two
together.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunningModel(_Message):
    name: str
    version: str
    demonstration: bool


class Term(_Message):
    """A word for an organ or a finding. names : the usual one first"""

    value: str
    scheme: str
    meaning: str
    names: tuple[str, ...]


class Greeting(_Message):
    """The worker is up.

    pipeline_digest : of model, settings and code together
    vocabulary : words that it knows the code of
    """

    ready: Literal[True] = True
    pipeline_digest: str
    model: RunningModel
    vocabulary: tuple[Term, ...] = ()


class Refusal(_Message):
    """The worker does not come up, and why; it ends with the command's exit code for that."""

    ready: Literal[False] = False
    code: str
    message: str


class ReadRequest(_Message):
    """Read the study in the folder *input* and write its results to the folder *output*.

    prior : folders of earlier studies of the same patient
    features : an empty folder to keep the features in that similarity is asked of later; none keeps none
    """

    verb: Literal["read"] = "read"
    id: str
    input: Path
    output: Path
    prior: tuple[Path, ...] = ()
    features: Path | None = None


class Point(_Message):
    """A place that somebody points at. label : 1 for "this, and what looks like it", -1 for "not this"."""

    series: str
    point_lps_mm: tuple[float, float, float]
    label: Literal[1, -1]


class SimilarityRequest(_Message):
    """What looks like these places, by the features in the folder *features*?"""

    verb: Literal["similarity"] = "similarity"
    id: str
    features: Path
    points: tuple[Point, ...]


class RegionRequest(_Message):
    """What hangs together with the positive points at a similarity above *threshold*?"""

    verb: Literal["region"] = "region"
    id: str
    features: Path
    points: tuple[Point, ...]
    threshold: float


class SimilarityMap(_Message):
    """A series' similarity to the points, on the grid of the encoder's tokens.

    affine : row by row, takes homogeneous (slice, row, column) indices to LPS mm
    values : base64 of one byte for each token, slice by slice; 255 times the cosine, 0 for all below 0
    """

    series: str
    is_prior: bool
    affine: tuple[tuple[float, float, float, float], ...]
    shape: tuple[int, int, int]
    values: str


class Region(_Message):
    """A region in the smallest box of the series' voxels that holds it.

    affine : of the box, as in `SimilarityMap`
    bits : base64 of one bit for each voxel of the box, the lowest bit of a byte first
    """

    series: str
    affine: tuple[tuple[float, float, float, float], ...]
    shape: tuple[int, int, int]
    bits: str
    volume_ml: float
    long_axis_mm: float
    short_axis_mm: float
    longest_diameter_mm: float


class MarkedRegion(_Message):
    """A region that somebody marked and named. person : who is logged in at the archive, empty for a program."""

    points: tuple[Point, ...]
    threshold: float
    name: str
    person: str


class MarkRequest(_Message):
    """Write the region as a result of its own: SEG, SR and result.json in the folder *output*.

    input : the study's files
    features : the folder of those that the points were asked of
    """

    verb: Literal["mark"] = "mark"
    id: str
    input: Path
    output: Path
    features: Path
    region: MarkedRegion


class Coded(_Message):
    value: str
    scheme: str
    meaning: str


class Judged(_Message):
    """What one person said of one finding. person : as in `MarkedRegion`; at : seconds since the epoch"""

    finding: str
    code: Coded
    tracking_uid: str | None
    verdict: Literal["accepted", "rejected", "corrected"]
    comment: str
    person: str
    at: float


class ReviseRequest(_Message):
    """Write a later version of a report, with these judgements: SR and result.json in the folder *output*."""

    verb: Literal["revise"] = "revise"
    id: str
    report: Path
    output: Path
    judgements: tuple[Judged, ...]


class Reply(_Message):
    """The answer to a request.

    id : of the request, None where it was not understood
    exit_code : as of the command; the output folder's result.json tells the rest
    device_bytes : most GPU memory reserved for it, None without a GPU
    message : why a question of similarity has no answer
    maps, region : what was asked for; region None where nothing at the points is as similar as that
    """

    id: str | None
    exit_code: int
    seconds: float
    device_bytes: int | None = None
    message: str | None = None
    maps: tuple[SimilarityMap, ...] = ()
    region: Region | None = None


Request = Annotated[
    ReadRequest | SimilarityRequest | RegionRequest | MarkRequest | ReviseRequest, Field(discriminator="verb")
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
