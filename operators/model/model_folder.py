"""Reading a model folder: digests first, then the encoder, then the heads that belong to it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from operators.domain.finding import Algorithm
from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.errors import CheckpointError, ModelDigestError
from operators.heads.body_region import BodyRegionHead
from operators.heads.evidence import SegmentationHead
from operators.heads.finding import FindingHead
from operators.heads.linear import read_linear
from operators.heads.records import (
    BodyRegionRecord,
    FindingRecord,
    Label,
    SegmentationRecord,
    read_head_record,
    read_labels,
    read_toml,
)
from operators.model.digests import check_digests, folder_digest

MODEL_FILE = "model.toml"

Head = BodyRegionHead | SegmentationHead | FindingHead


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """The heads of a model; a bare snapshot has none."""

    body_region: BodyRegionHead | None = None
    segmentations: tuple[SegmentationHead, ...] = ()
    findings: tuple[FindingHead, ...] = ()

    @property
    def all(self) -> tuple[Head, ...]:
        first = () if self.body_region is None else (self.body_region,)
        return (*first, *self.segmentations, *self.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """digest : hex SHA-256 over the digests of all files of the folder"""

    name: str
    version: str
    demonstration: bool
    licence: str
    intended_use: str
    snapshot: Snapshot
    heads: Heads
    digest: str


class ModelRecord(BaseModel):
    """model.toml; further tables in it tell people about data and measured figures."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    version: str
    demonstration: bool
    licence: str
    intended_use: str


def read_model(folder: Path) -> Model:
    """Read a model folder, or a bare Hugging Face snapshot as an encoder without heads.

    Raises
    ------
    ModelDigestError
        A file differs from SHA256SUMS, is missing or is not listed; or a head belongs to another encoder.
    CheckpointError
        A file is malformed or incomplete.
    """
    if not folder.is_dir():
        raise CheckpointError(f"model: expected a folder, {folder} is none")
    if not (folder / MODEL_FILE).is_file():
        return _read_bare_snapshot(folder)
    digest = check_digests(folder)
    record = read_toml(folder / MODEL_FILE, TypeAdapter(ModelRecord))
    snapshot = read_snapshot(folder / "encoder")
    return Model(
        name=record.name,
        version=record.version,
        demonstration=record.demonstration,
        licence=record.licence,
        intended_use=record.intended_use,
        snapshot=snapshot,
        heads=_read_heads(folder / "heads", snapshot),
        digest=digest,
    )


def _read_bare_snapshot(folder: Path) -> Model:
    snapshot = read_snapshot(folder)
    return Model(
        name=folder.name,
        version=snapshot.sha256[:12],
        demonstration=False,
        licence="as the snapshot's publisher states",
        intended_use="research use only",
        snapshot=snapshot,
        heads=Heads(),
        digest=folder_digest(folder),
    )


def _read_heads(folder: Path, snapshot: Snapshot) -> Heads:
    paths = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    heads = [_read_head(path, snapshot) for path in paths]
    regions = [head for head in heads if isinstance(head, BodyRegionHead)]
    if len(regions) > 1:
        raise CheckpointError(f"heads: expected at most one body-region head, found {len(regions)}")
    return Heads(
        body_region=regions[0] if regions else None,
        segmentations=tuple(head for head in heads if isinstance(head, SegmentationHead)),
        findings=tuple(head for head in heads if isinstance(head, FindingHead)),
    )


def _read_head(folder: Path, snapshot: Snapshot) -> Head:
    record, labels = read_head_record(folder), read_labels(folder)
    if record.encoder_sha256 != snapshot.sha256:
        raise ModelDigestError(
            f"head {folder.name}: trained on the encoder {record.encoder_sha256[:12]}, "
            f"this folder holds {snapshot.sha256[:12]}; heads do not carry over to other features"
        )
    width = snapshot.config.hidden_size
    algorithm = Algorithm(record.name, record.version, folder_digest(folder))
    if isinstance(record, BodyRegionRecord):
        linear = read_linear(folder, num_outputs=len(labels), num_features=2 * width)
        return BodyRegionHead(record, labels, linear, algorithm)
    if isinstance(record, SegmentationRecord):
        num_outputs = len(labels) * record.subdivision**2
        linear = read_linear(folder, num_outputs=num_outputs, num_features=width)
        return SegmentationHead(record, _with_category(labels, folder), linear, algorithm)
    return _finding_head(folder, record, labels, algorithm=algorithm, width=width)


def _finding_head(
    folder: Path, record: FindingRecord, labels: tuple[Label, ...], *, algorithm: Algorithm, width: int
) -> FindingHead:
    if len(labels) != 1:
        raise CheckpointError(f"head {folder.name}: expected one label for a finding, got {len(labels)}")
    linear = read_linear(folder, num_outputs=1, num_features=width)
    return FindingHead(record, _with_category(labels, folder)[0], linear, algorithm)


def _with_category(labels: tuple[Label, ...], folder: Path) -> tuple[Label, ...]:
    for label in labels:
        if label.category is None:
            raise CheckpointError(f"{folder.name}/labels.toml: {label.name}: a segment needs a category code")
    return labels
