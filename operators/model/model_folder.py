"""Reading a model folder: digests first, then the encoder, then the heads that belong to it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from operators.encoder.snapshot import Snapshot, read_snapshot
from operators.errors import CheckpointError
from operators.heads.head import HeadFolder, Heads
from operators.heads.kinds import read_head
from operators.heads.records import read_toml
from operators.model.digests import check_digests, folder_digest

MODEL_FILE = "model.toml"
BODY_REGION = "body-region"
SNAPSHOT_FILE = "config.json"

_ORDER = {BODY_REGION: 0, "segmentation": 1}


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model as it was read and checked.

    digest : hex SHA-256 over the digests of all files of the folder
    """

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


def read_model(folder: Path, *, public_key: Path | None = None) -> Model:
    """Read a model folder, or a bare Hugging Face snapshot as an encoder without heads.

    A folder with one model in a folder of its own, as a MONAI Application Package has it, stands for that model.

    public_key : PEM file of the Ed25519 key that has to have signed the folder; a bare snapshot then needs SHA256SUMS
        and its signature like any other folder

    Raises
    ------
    ModelDigestError
        A file differs from SHA256SUMS, is missing or is not listed; or a head belongs to another encoder.
    ModelSignatureError
        The folder is not signed by *public_key*.
    CheckpointError
        A file is malformed or incomplete.
    """
    if not folder.is_dir():
        raise CheckpointError(f"model: expected a folder, {folder} is none")
    folder = _only_model(folder)
    if not (folder / MODEL_FILE).is_file():
        if public_key:
            check_digests(folder, public_key)
        return _read_bare_snapshot(folder)
    digest = check_digests(folder, public_key)
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


def _only_model(folder: Path) -> Path:
    inner = [path for path in folder.iterdir() if (path / MODEL_FILE).is_file() or (path / SNAPSHOT_FILE).is_file()]
    outer = (folder / MODEL_FILE).is_file() or (folder / SNAPSHOT_FILE).is_file()
    return inner[0] if len(inner) == 1 and not outer else folder


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
    heads = [read_head(HeadFolder(path, snapshot, folder_digest(path))) for path in paths]
    regions = [head for head in heads if head.record.task == BODY_REGION]
    if len(regions) > 1:
        raise CheckpointError(f"heads: expected at most one body-region head, found {len(regions)}")
    names = [head.record.name for head in heads]
    for name in names:
        if names.count(name) > 1:
            raise CheckpointError(f"heads: two of them are named {name!r}; each needs a name of its own")
    # The region first, then anatomy, then what is looked for in it: the order of findings and segments.
    return Heads(tuple(sorted(heads, key=lambda head: _ORDER.get(head.record.task, len(_ORDER)))))
